package scripts_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"
)

// storedWithin bounds the wait for a blob whose last byte its client has already.
const storedWithin = time.Minute

// spoil changes a byte of a blob in a data folder once it is stored, as a failing disk does:
//
//	spoil FOLDER DIGEST
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		usage(ts, "spoil", args, "spoil FOLDER DIGEST")
	}
	d, err := digest.Parse(args[1])
	ts.Check(err)
	name := filepath.Join(ts.MkAbs(args[0]), "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
	content, err := os.ReadFile(name)
	for deadline := time.Now().Add(storedWithin); errors.Is(err, fs.ErrNotExist) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		content, err = os.ReadFile(name)
	}
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(name, content, 0o600))
}
