package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plant makes files, and folders where the name ends with a slash.
func plant(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		folder := filepath.Dir(full)
		if strings.HasSuffix(name, "/") {
			folder = full
		}
		if err := os.MkdirAll(folder, 0o750); err != nil {
			t.Fatal(err)
		}
		if folder == full {
			continue
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot describes everything below a folder: names, modes, times, content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(content)
		}
		tree[name] = fmt.Sprintf("%v %v %q", info.Mode(), info.ModTime().UnixNano(), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestAnAbsentOrEmptyFolderBecomesADataFolder(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
	}{
		{"absent", nil},
		{"empty", map[string]string{"a/b/": ""}},
		{"a fresh file system's root", map[string]string{"a/b/lost+found/": ""}},
		{"left by a first start that was cut off", map[string]string{"a/b/lock": "1\n", "a/b/larder.json.tmp-7": "{"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			plant(t, root, tt.files)
			dir := filepath.Join(root, "a", "b")
			data, err := OpenData(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = data.Close() }()
			text, err := os.ReadFile(data.Path("larder.json"))
			if err != nil || string(text) != "{\"format\":1}\n" {
				t.Errorf("the marker holds %q, error %v", text, err)
			}
			if want, got := filepath.Join(dir, "x", "y"), data.Path("x", "y"); got != want {
				t.Errorf("Path is %q, want %q", got, want)
			}
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm()&0o007 != 0 {
				t.Errorf("others may enter the folder: %v, error %v", info.Mode(), err)
			}
		})
	}
}

func TestADataFolderIsOpenedAgainWithWhatItHolds(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"metadata.db":           sqliteHeader + "...",
		"blobs/sha256/ab/abcd":  "x",
		"something of a person": "y",
	}
	for range 3 {
		data, err := OpenData(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		plant(t, dir, files)
	}
}

func TestAForeignOrDamagedFolderIsRefusedAndNothingTouched(t *testing.T) {
	const mark = `{"format":1}`
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a home folder", map[string]string{"notes.txt": "x", ".bashrc": ""},
			"the folder DIR holds notes.txt and other things that are not Larder's, so nothing was touched: choose an empty or a new folder with --data DIR; if this is a data folder that lost its larder.json, restore that file from a backup"},
		{"a data folder without its marker", map[string]string{"metadata.db": sqliteHeader, "lock": "1\n"},
			"the folder DIR holds metadata.db and other things that are not Larder's, so nothing was touched: choose an empty or a new folder with --data DIR; if this is a data folder that lost its larder.json, restore that file from a backup"},
		{"an empty marker", map[string]string{"larder.json": ""},
			`the data folder DIR is damaged: DIR/larder.json does not tell its format; restore that file from a backup, or write {"format":1} to it if this version of Larder made the folder`},
		{"a marker of something else", map[string]string{"larder.json": `{"name":"pantry"}`},
			`the data folder DIR is damaged: DIR/larder.json does not tell its format; restore that file from a backup, or write {"format":1} to it if this version of Larder made the folder`},
		{"a marker that is a folder", map[string]string{"larder.json/": ""},
			"the data folder DIR cannot be used: reading its larder.json: read DIR/larder.json: is a directory"},
		{"a newer format", map[string]string{"larder.json": `{"format":2}`},
			"the data folder DIR has format 2, and this version of Larder knows formats up to 1: run the newer Larder that wrote it, or choose another folder with --data DIR"},
		{"blobs without metadata", map[string]string{"larder.json": mark, "blobs/sha256/ab/abcd": "x"},
			"the data folder DIR is damaged: it holds blobs, but DIR/metadata.db is missing; restore that file from a backup (copies of earlier versions are named metadata.db.before-VERSION), or choose another folder with --data DIR"},
		{"blobs with empty metadata", map[string]string{"larder.json": mark, "blobs/sha256/ab/abcd": "x", "metadata.db": ""},
			"the data folder DIR is damaged: it holds blobs, but DIR/metadata.db is no SQLite database; restore that file from a backup (copies of earlier versions are named metadata.db.before-VERSION), or choose another folder with --data DIR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, tt.files)
			before := snapshot(t, dir)
			data, err := OpenData(dir)
			if err == nil {
				t.Fatal("it was opened", data.Close())
			}
			// The advice itself says DIR as well, so the message is compared with the path put in.
			want := strings.ReplaceAll(tt.want, "DIR", dir)
			want = strings.ReplaceAll(want, "--data "+dir, "--data DIR")
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("the folder was touched (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAFileInPlaceOfTheFolderIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	plant(t, filepath.Dir(name), map[string]string{"file": "x"})
	if _, err := OpenData(name); err == nil || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), "--data DIR") {
		t.Errorf("error is %v", err)
	}
}

func TestMetadataThatWasNeverWrittenIsNoDamageWhileThereAreNoBlobs(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"larder.json": `{"format":1}`, "blobs/sha256/": "", "metadata.db": ""})
	data, err := OpenData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Error(err)
	}
}

func TestASecondProcessIsRefusedUntilTheFirstHasEnded(t *testing.T) {
	const variable = "LARDER_TEST_DATA"
	if dir := os.Getenv(variable); dir != "" {
		_, err := OpenData(dir)
		fmt.Println("second:", err)
		return
	}
	dir := t.TempDir()
	data, err := OpenData(dir)
	if err != nil {
		t.Fatal(err)
	}
	second := func() string {
		t.Helper()
		command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		command.Env = append(os.Environ(), variable+"="+dir)
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return line
	}
	want := fmt.Sprintf("second: the data folder %s is in use by another larder (process %d): stop that one first, or choose another folder with --data DIR", dir, os.Getpid())
	if diff := cmp.Diff(want, second()); diff != "" {
		t.Errorf("while the first runs (-want +got):\n%s", diff)
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("second: <nil>", second()); diff != "" {
		t.Errorf("after the first (-want +got):\n%s", diff)
	}
}

func TestAFailedWriteLeavesTheFileAsItWas(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"taken/inside": "x"})
	before := snapshot(t, filepath.Join(dir, "taken"))
	err := writeFile(filepath.Join(dir, "taken"), []byte("new"), 0o600)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a folder was overwritten by a file, error %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, filepath.Join(dir, "taken"))); diff != "" {
		t.Errorf("it was touched (-before +after):\n%s", diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}
