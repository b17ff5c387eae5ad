package chaos_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPowerLossTakesWhatWasNotSynced(t *testing.T) {
	const file, folder = 7, 8
	var (
		made      = step{op: opEnter, node: file, folder: rootFolder, name: "new"}
		written   = step{op: opWrite, node: file, bytes: []byte("text")}
		cut       = step{op: opResize, node: file, offset: 2}
		madeInto  = step{op: opEnter, node: folder, folder: rootFolder, name: "folder", holds: true}
		moved     = step{op: opMove, node: file, folder: rootFolder, name: "new", toward: folder, as: "moved"}
		renamed   = step{op: opMove, node: file, folder: rootFolder, name: "new", toward: rootFolder, as: "renamed"}
		removed   = step{op: opLeave, folder: rootFolder, name: "new"}
		synced    = func(node, covered int) step { return step{op: opSync, node: node, offset: int64(covered)} }
		nothing   = map[string]string{}
		empty     = map[string]string{"new": ""}
		undamaged = map[string]string{"new": "text"}
	)
	tests := []struct {
		name  string
		steps []step
		want  map[string]string
	}{
		{"nothing was synced", []step{made, written}, nothing},
		{"a file's name was not synced", []step{made, written, synced(file, 2)}, nothing},
		{"a file's bytes were not synced", []step{made, written, synced(rootFolder, 2)}, empty},
		{"both were synced", []step{made, written, synced(file, 2), synced(rootFolder, 3)}, undamaged},
		{"a write came while the sync was under way", []step{made, written, synced(file, 1), synced(rootFolder, 2)}, empty},
		{"a cut was not synced", []step{made, written, synced(file, 2), synced(rootFolder, 2), cut}, undamaged},
		{"a removal was not synced", []step{made, written, synced(file, 2), synced(rootFolder, 2), removed}, undamaged},
		{"a removal was synced", []step{made, synced(rootFolder, 1), removed, synced(rootFolder, 3)}, nothing},
		{"a rename was not synced", []step{made, synced(rootFolder, 1), renamed}, empty},
		{"a rename was synced", []step{made, renamed, synced(rootFolder, 2)}, map[string]string{"renamed": ""}},
		{"only the new folder of a moved file was synced", []step{madeInto, made, synced(rootFolder, 2), moved, synced(folder, 4)}, map[string]string{"new": "", "folder/moved": ""}},
		{"only the old folder of a moved file was synced", []step{madeInto, made, synced(rootFolder, 2), moved, synced(rootFolder, 4)}, empty},
		{"both folders of a moved file were synced", []step{madeInto, made, moved, synced(folder, 3), synced(rootFolder, 4)}, map[string]string{"folder/moved": ""}},
		{"the name of a folder was not synced", []step{made, synced(rootFolder, 1), madeInto, moved, synced(folder, 4)}, empty},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := t.TempDir()
			if err := powerLoss(tt.steps).lay(at); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, filesBelow(t, at)); diff != "" {
				t.Errorf("the disk holds (-want +got):\n%s", diff)
			}
		})
	}
}

// filesBelow are the texts of the files below a folder.
func filesBelow(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
