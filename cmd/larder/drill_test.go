package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/larder-registry/larder/internal/server"
)

// Images are pushed before and while a backup is taken. The registry is destroyed, and
// what was acknowledged before the backup began is pulled from the restored one.
func TestWhatWasAcknowledgedBeforeABackupIsPulledAfterItsRestore(t *testing.T) {
	lost := startRegistry(t, t.TempDir())
	s := newShell(t)
	s.login(lost.url())
	s.ok("new-project demo")
	folder := t.TempDir()
	dump, blobs := filepath.Join(folder, "dump"), filepath.Join(folder, "blobs")

	pushed := lost.pushUntil(t, 5, func() {
		// The first finds some blobs, the second those that came meanwhile.
		s.ok("backup --to " + filepath.Join(folder, "earlier") + " --blobs " + blobs)
		s.ok("backup --to " + dump + " --blobs " + blobs)
	})
	lost.destroy(t)

	data := filepath.Join(t.TempDir(), "restored")
	printed := s.ok("restore --from " + dump + " --blobs " + blobs + " --data " + data)
	if strings.Contains(printed, "missing") {
		t.Errorf("restore said:\n%s", printed)
	}
	restored := startRegistry(t, data)
	for _, image := range pushed {
		image.wantIn(t, restored)
	}
	s.login(restored.url()) // with the password of before
	if got := s.ok("projects -q"); !strings.Contains(got, "demo") {
		t.Errorf("the projects are %q", got)
	}
	s.fails(exitFailed, "restore --from "+dump+" --blobs "+blobs+" --data "+data, "there is a registry in "+data+" already", "nothing was changed")
}

func TestARestoreNamesWhatIsMissingAndRestoresTheRest(t *testing.T) {
	first := startRegistry(t, t.TempDir())
	s := newShell(t)
	s.login(first.url())
	s.ok("new-project demo")
	whole, broken := first.push(t, 1), first.push(t, 2)
	folder := t.TempDir()
	s.ok("backup --to " + folder + " --blobs " + folder)
	first.destroy(t)
	layer := broken.layers[1]
	kept := filepath.Join(folder, "blobs", "sha256", layer.Encoded()[:2], layer.Encoded())
	if err := os.WriteFile(kept, []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}

	data := filepath.Join(t.TempDir(), "restored")
	r := s.typeIn("", "restore", "--from", folder, "--blobs", folder, "--data", data)
	if r.status != exitFailed || !strings.Contains(r.stderr, "1 blobs that people pushed are missing") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	for _, line := range []string{"missing: " + layer.String(), "(lost)", "\n  demo/app: v2\n"} {
		if !strings.Contains(r.stdout, line) {
			t.Errorf("restore does not say %q:\n%s", line, r.stdout)
		}
	}
	restored := startRegistry(t, data)
	whole.wantIn(t, restored)
	if status, _ := restored.get(t, "/v2/demo/app/blobs/"+layer.String()); status == http.StatusOK {
		t.Error("a rotten blob is served")
	}
	again := restored.push(t, 2) // which heals it
	again.wantIn(t, restored)
}

// running is a server on a data folder.
type running struct {
	*server.Server
	data string
	stop func()
}

func startRegistry(t *testing.T, data string) *running {
	t.Helper()
	set := pflag.NewFlagSet("larder", pflag.ContinueOnError)
	flags := server.BindFlags(set)
	if err := set.Parse([]string{"--listen", "127.0.0.1:0", "--data", data}); err != nil {
		t.Fatal(err)
	}
	config, err := server.Load(flags, func(string) (string, bool) { return "", false }, server.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	started, err := server.New(t.Context(), config, server.Options{
		Version: "test", AdminPassword: adminPassword, Notices: io.Discard, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- started.Run(ctx) }()
	r := &running{Server: started, data: data}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) url() string { return "http://" + r.Addr().String() }

// destroy loses the whole registry.
func (r *running) destroy(t *testing.T) {
	t.Helper()
	r.stop()
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
}

// image is one that was pushed to demo/app.
type image struct {
	tag      string
	manifest []byte
	layers   []digest.Digest // the config first
}

// pushUntil pushes images, some before fn and more while it runs, and returns those
// that were acknowledged before it began.
func (r *running) pushUntil(t *testing.T, before int, fn func()) []image {
	t.Helper()
	var pushed []image
	for i := range before {
		pushed = append(pushed, r.push(t, i))
	}
	ctx, end := context.WithCancel(t.Context())
	var pushing sync.WaitGroup
	pushing.Go(func() {
		for i := before; ctx.Err() == nil; i++ {
			if _, err := r.tryPush(ctx, i); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	fn()
	end()
	pushing.Wait()
	return pushed
}

func (r *running) push(t *testing.T, number int) image {
	t.Helper()
	i, err := r.tryPush(t.Context(), number)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (r *running) tryPush(ctx context.Context, number int) (image, error) {
	i := image{tag: fmt.Sprint("v", number)}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for part, text := range []string{`{"architecture":"amd64","os":"linux"}`, strings.Repeat(i.tag, 10_000), "shared"} {
		d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString(text), Size: int64(len(text))}
		if err := r.send(ctx, http.MethodPost, "/v2/demo/app/blobs/uploads/?digest="+d.Digest.String(), "application/octet-stream", []byte(text)); err != nil {
			return image{}, err
		}
		i.layers = append(i.layers, d.Digest)
		if part == 0 {
			d.MediaType = v1.MediaTypeImageConfig
			m.Config = d
		} else {
			m.Layers = append(m.Layers, d)
		}
	}
	var err error
	if i.manifest, err = json.Marshal(m); err != nil {
		return image{}, err
	}
	return i, r.send(ctx, http.MethodPut, "/v2/demo/app/manifests/"+i.tag, v1.MediaTypeImageManifest, i.manifest)
}

func (r *running) send(ctx context.Context, method, path, mediaType string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, r.url()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s %s = %s: %s", method, path, resp.Status, text)
	}
	return nil
}

func (r *running) get(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Accept", v1.MediaTypeImageManifest)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// wantIn pulls the image, byte for byte.
func (i image) wantIn(t *testing.T, r *running) {
	t.Helper()
	status, got := r.get(t, "/v2/demo/app/manifests/"+i.tag)
	if diff := cmp.Diff(string(i.manifest), string(got)); status != http.StatusOK || diff != "" {
		t.Errorf("%s: status %d, manifest (-want +got):\n%s", i.tag, status, diff)
	}
	for _, d := range i.layers {
		status, got := r.get(t, "/v2/demo/app/blobs/"+d.String())
		if status != http.StatusOK || digest.FromBytes(got) != d {
			t.Errorf("%s: blob %s: status %d, %d bytes", i.tag, d, status, len(got))
		}
	}
}
