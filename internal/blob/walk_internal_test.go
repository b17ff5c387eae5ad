package blob

import "testing"

func TestOnlyFoldersOfBlobsAreRead(t *testing.T) {
	tests := map[string]bool{
		"sha256":          true,
		"sha512":          true,
		"sha256/ab":       true,
		"sha512/00":       true,
		"sha384":          false,
		"sha384/ab":       false,
		"sha256/AB":       false,
		"sha256/abc":      false,
		"sha256/ab/cd":    false,
		"lost+found":      false,
		"lost+found/ab":   false,
		"sha256/.ab":      false,
		"backup/sha256":   false,
		"sha256/ab/lost+": false,
	}
	for folder, want := range tests {
		if got := holdsBlobs(folder); got != want {
			t.Errorf("holdsBlobs(%q) is %v", folder, got)
		}
	}
}
