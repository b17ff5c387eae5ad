package server_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// damages are what can befall a stored blob while the server runs.
var damages = []struct {
	name string
	do   func(path string) error
}{
	{"removed", os.Remove},
	{"emptied", func(path string) error { return os.Truncate(path, 0) }},
	{"half written", func(path string) error { return os.Truncate(path, 30_000) }},
	{"grown", func(path string) error { return os.Truncate(path, 100_000) }},
}

// distribution/distribution#2367 and #1356: a blob whose bytes were gone was answered
// with 200, the right Content-Length, and no body.
func TestABlobOfAnotherSizeThanRecordedIsNoticedBeforeTheHeaders(t *testing.T) {
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{}, "")
			image := s.hub.AddImage("library/nginx", "latest", small(1))
			s.pullAll(nginx, "latest", image)
			layer := image.Manifests[0].Layers[0]
			s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
			if err := damage.do(s.blobFile(layer.Digest)); err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{http.MethodHead, http.MethodGet} {
				got := s.send(request{method: method, path: nginx + "blobs/" + layer.Digest.String()})
				if got.status != 503 || got.err != nil {
					t.Errorf("%s got %d with Content-Length %s, %v", method, got.status, got.header.Get("Content-Length"), got.err)
				}
			}
		})
	}
}

// distribution/distribution#4191: a layer was removed that another image still used.
func TestEvictingAnImageLeavesTheLayersThatAnotherUses(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	const other = "/v2/docker-hub/acme/web/"
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("acme/web", "1", small(1))
	s.pullAll(nginx, "latest", image)
	s.pullAll(other, "1", image)
	s.hub.ResetRequests()

	layer := "blobs/" + image.Manifests[0].Layers[0].Digest.String()
	for _, path := range []string{"manifests/" + image.Digest.String(), layer} {
		if got := s.send(request{method: http.MethodDelete, path: nginx + path, admin: true}); got.status != 202 {
			t.Fatalf("evicting %s: %d %s", path, got.status, got.body)
		}
	}
	s.pullAll(other, "1", image)
	s.hubSaw(names(image))
	s.get(nginx+layer).wants(t, 200, "larder; fwd=miss; fwd-status=200; detail=linked")
}

// distribution/distribution#3722 and #4381, mcronce/oci-registry#13: a blob that was
// lost or half written stays broken for ever.
func TestALostOrHalfWrittenBlobIsFetchedAnewWithinTheSameRequest(t *testing.T) {
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{}, "")
			image := s.hub.AddImage("library/nginx", "latest", small(1))
			s.pullAll(nginx, "latest", image)
			s.hub.ResetRequests()
			layer := image.Manifests[0].Layers[0].Digest
			path := nginx + "blobs/" + layer.String()
			if err := damage.do(s.blobFile(layer)); err != nil {
				t.Fatal(err)
			}
			s.get(path).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
			s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
			s.eventually("the blob is held again", func() bool { return s.head(path).cache() == "larder; hit" })
			s.get(path).wants(t, 200, "larder; hit").is(t, layer)
		})
	}
}

// The same, when a whole deployment finds out at once.
func TestManyWhoFindABlobLostGetItFromOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobLatency: 100 * time.Millisecond}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	layer := image.Manifests[0].Layers[0].Digest
	if err := os.Remove(s.blobFile(layer)); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 20 {
		work.Go(func() {
			got, err := s.try(t.Context(), request{path: nginx + "blobs/" + layer.String()})
			if err != nil || got.err != nil || digest.FromBytes(got.body) != layer {
				t.Errorf("an asker got %d with %d bytes, %v, %v", got.status, len(got.body), err, got.err)
			}
		})
	}
	work.Wait()
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
}

// project-zot/zot#4357: staging that a crash had left made every request hang, with
// health checks green.
func TestWhatACrashLeftInTheSpoolIsRemovedAtTheStartAndHindersNothing(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.CDNPath, Bytes: 1 << 20})
	resp, err := s.open(t.Context(), request{path: nginx + "blobs/" + layer.String()})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	spools := s.files("spool")
	if len(spools) != 1 {
		t.Fatalf("a transfer under way has the spools %v", spools)
	}
	s.stop()
	restore()
	if err := os.WriteFile(spools[0], bytes.Repeat([]byte("half a layer"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	if left := s.files("spool"); len(left) > 0 {
		t.Errorf("after the start the spool holds %v", left)
	}
	s.becomesReady()
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)
	s.get(nginx+"blobs/"+layer.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
}

// project-zot/zot#4345: a mirror that accepts and then blocks is worse than one that
// refuses.
func TestReadinessReadsAnImageBackAndLivenessDoesNot(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.becomesReady()
	s.becomesReady()
	probed := s.files("blobs")
	if len(probed) == 0 {
		t.Fatal("readiness was found without storing an image to read")
	}
	for _, damage := range []struct {
		name       string
		do, mended func(path string) error
	}{
		{"its bytes changed", flipFirstByte, flipFirstByte},
		{"it is gone", func(path string) error { return os.Rename(path, path+".away") }, func(path string) error { return os.Rename(path+".away", path) }},
		{"reading it hangs", hang, unhang},
	} {
		t.Run(damage.name, func(t *testing.T) {
			if err := damage.do(probed[0]); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got := s.get("/readyz"); got.status != 503 {
				t.Errorf("/readyz: %d %s", got.status, got.body)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %s to say so", took)
			}
			if got := s.get("/healthz"); got.status != 200 {
				t.Errorf("/healthz: %d %s", got.status, got.body)
			}
			if err := damage.mended(probed[0]); err != nil {
				t.Fatal(err)
			}
			s.becomesReady()
		})
	}
}

// becomesReady asks again where storage took more than the second that readiness gives it.
func (s *stack) becomesReady() {
	s.t.Helper()
	s.eventually("it is ready", func() bool { return s.get("/readyz").status == 200 })
}

func flipFirstByte(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[0] ^= 0xff
	return os.WriteFile(path, content, 0o600)
}

// hang puts a pipe without a writer in a file's place: opening it does not return.
func hang(path string) error {
	if err := os.Rename(path, path+".away"); err != nil {
		return err
	}
	return syscall.Mkfifo(path, 0o600)
}

// unhang lets those go who wait at the pipe, and puts the file back.
func unhang(path string) error {
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := os.Rename(path+".away", path); err != nil {
		return err
	}
	return pipe.Close()
}

// blobFile is where a blob lies in the data folder.
func (s *stack) blobFile(d digest.Digest) string {
	return filepath.Join(s.data, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

// files lists the files below a folder of the data folder.
func (s *stack) files(folder string) (found []string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.data, folder), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}
