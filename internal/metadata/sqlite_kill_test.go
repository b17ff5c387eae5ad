package metadata_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// writerVariable makes the test's program write to the database that it names,
// until it is killed.
const writerVariable = "METADATA_TEST_WRITER"

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metadata.db")
	var acknowledged []digest.Digest
	for _, more := range []int{1, 40, 25} {
		acknowledged = append(acknowledged, killAfter(t, path, more)...)
		verify(t, path, acknowledged)
	}
}

// killAfter lets a process write to the database, kills it once it has acknowledged
// that many pushes, and returns all that it acknowledged.
func killAfter(t *testing.T, path string, count int) []digest.Digest {
	t.Helper()
	writer := exec.CommandContext(t.Context(), os.Args[0])
	writer.Env = append(os.Environ(), writerVariable+"="+path)
	writer.Stderr = os.Stderr
	stdout, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []digest.Digest
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		acknowledged = append(acknowledged, digest.Digest(lines.Text()))
		if len(acknowledged) == count {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(lines.Err(), ignoreExit(writer.Wait())); err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) < count {
		t.Fatalf("the writer ended after %d pushes, before it was killed", len(acknowledged))
	}
	return acknowledged
}

func ignoreExit(err error) error {
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil
	}
	return err
}

func verify(t *testing.T, path string, want []digest.Digest) {
	t.Helper()
	db, err := metadata.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, d := range want {
		m, _, err := db.Manifests.GetByTag(t.Context(), "demo/app", d.Encoded())
		if err != nil || digest.FromBytes(m.Content) != d {
			t.Fatalf("an acknowledged push is not there: %v, content %q", err, m.Content)
		}
	}
}

// writeUntilKilled pushes manifests and prints the digest of each that was
// acknowledged.
func writeUntilKilled(path string) int {
	ctx := context.Background()
	db, err := metadata.Open(ctx, path)
	if err == nil {
		err = db.Projects.Ensure(ctx, metadata.Project{Name: "demo", Kind: metadata.Hosted})
	}
	for i := 0; err == nil; i++ {
		content := fmt.Appendf(nil, "%d of process %d", i, os.Getpid())
		d := digest.FromBytes(content)
		err = db.Manifests.Put(ctx, metadata.PutManifest{
			Repository: "demo/app",
			Manifest:   metadata.Manifest{Manifest: oci.Manifest{MediaType: "text/plain", Digest: d, Content: content}},
			Tags:       []string{d.Encoded()},
		})
		if err == nil {
			_, err = fmt.Println(d)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
