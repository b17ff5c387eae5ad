package imagecopy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/imagecopy"
)

func TestAnArchiveGivesItsImagesWithoutBeingUnpacked(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	index := from.pushIndex("demo/app:1")
	from.push("demo/app:2")
	folder := filepath.Join(t.TempDir(), "images")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:1", "oci:"+folder+":one")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:2", "oci:"+folder+":two")

	// Tools disagree about the dot before the names.
	for _, prefix := range []string{"", "./"} {
		archive := packed(t, folder, prefix)
		copied(t, imagecopy.Options{}, "oci-archive:"+archive+":one", to.host+"/new/app:1")
		if got, want := to.digest("new/app:1"), digestOf(t, index); got != want {
			t.Errorf("names with %q: %s arrived, want %s", prefix, got, want)
		}
		_, _, err := try(t, imagecopy.Options{}, "oci-archive:"+archive, to.host+"/new/app:2")
		if err == nil || !strings.Contains(err.Error(), "oci-archive:"+archive+":TAG; its tags are one, two") {
			t.Errorf("without a tag it is not said which there are: %v", err)
		}
	}
}

func TestWhatIsNoArchiveOfImagesIsCalledSo(t *testing.T) {
	to := newRegistry(t)
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte("anything")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write("letter.txt", bytes.Repeat([]byte("dear\n"), 1000)): "is no tar file",
		write("images.tar.gz", zipped.Bytes()):                    "is no tar file, or a compressed one",
		packed(t, t.TempDir(), ""):                                "is no OCI image layout: index.json in ",
		filepath.Join(folder, "nothing.tar"):                      "no such file",
	} {
		_, _, err := try(t, imagecopy.Options{}, "oci-archive:"+path+":1", to.host+"/new/app:1")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, want)
		}
	}
}

// packed is a tar file of a folder, each name with a prefix.
func packed(t *testing.T, folder, prefix string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: prefix + filepath.ToSlash(name), Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "images.tar")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
