package server_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// damage changes one byte of a blob under the running server.
func (s *stack) damage(d digest.Digest) {
	s.t.Helper()
	content, err := os.ReadFile(s.blobFile(d))
	if err != nil {
		s.t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(s.blobFile(d), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// cached pulls an image's layer so that it is held, and verified.
func (s *stack) cached(image hubsim.Image) (hubsim.Pushed, digest.Digest, string) {
	s.t.Helper()
	pushed := s.hub.AddImage("library/nginx", "latest", image)
	layer := pushed.Manifests[0].Layers[0].Digest
	path := nginx + "blobs/" + layer.String()
	s.get(nginx + "manifests/latest")
	s.get(path).is(s.t, layer)
	s.eventually("the blob is held", func() bool { return s.head(path).cache() == "larder; hit" })
	s.get(path).wants(s.t, 200, "larder; hit").is(s.t, layer)
	s.hub.ResetRequests()
	return pushed, layer, path
}

func TestASmallDamagedCachedBlobIsFetchedAnewWithinTheSameRequest(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image, layer, path := s.cached(small(1))
	s.damage(layer)
	s.get(path).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
	s.eventually("the blob is held", func() bool { return s.head(path).cache() == "larder; hit" })
	s.get(path).wants(t, 200, "larder; hit").is(t, layer)
}

func TestALargeDamagedCachedBlobIsCutOffAndTheNextRequestFetchesItAnew(t *testing.T) {
	for _, byteRange := range []string{"", "bytes=100-199", "bytes=-100", "bytes=0-9,20-29"} {
		t.Run("range "+byteRange, func(t *testing.T) {
			s := newStack(t, hubsim.Options{}, "")
			image, layer, path := s.cached(big(1))
			s.damage(layer)
			r := request{path: path, header: map[string]string{}}
			if byteRange != "" {
				r.header["Range"] = byteRange
			}
			s.client.CloseIdleConnections() // on a used connection the client itself asks again
			if got, err := s.try(t.Context(), r); err == nil && got.err == nil {
				t.Fatalf("a complete answer of %d with %d bytes", got.status, len(got.body))
			}
			s.hubSaw(names(image))
			s.get(path).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
			s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
			if log := s.log.String(); !strings.Contains(log, "a damaged blob was set aside") || !strings.Contains(log, layer.String()) {
				t.Errorf("the log does not name the damage:\n%s", log)
			}
		})
	}
}

func TestManyWhoMeetTheSameDamageCauseOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image, layer, path := s.cached(small(1))
	s.damage(layer)
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			got, err := s.try(t.Context(), request{path: path})
			if err != nil || got.err != nil || digest.FromBytes(got.body) != layer {
				t.Errorf("an asker got %d: %.300s, %v, %v", got.status, got.body, err, got.err)
			}
		})
	}
	work.Wait()
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
	s.eventually("the blob is held", func() bool { return s.head(path).cache() == "larder; hit" })
	s.get(path).wants(t, 200, "larder; hit").is(t, layer)
}

// pushBlob stores a blob in a hosted repository.
func (s *stack) pushBlob(repository string, content []byte) digest.Digest {
	s.t.Helper()
	d := digest.FromBytes(content)
	s.push(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", content)
	return d
}

func random(t *testing.T, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return content
}

func TestADamagedPushedBlobIsNamedAndMendedByAPush(t *testing.T) {
	for _, size := range []int{10_000, 3 << 20} {
		s := newStack(t, hubsim.Options{}, "")
		content := random(t, size)
		d := s.pushBlob("demo/app", content)
		get := request{path: "/v2/demo/app/blobs/" + d.String(), admin: true}
		head := get
		head.method = http.MethodHead
		s.send(get).is(t, d)
		s.damage(d)

		if got, err := s.try(t.Context(), get); err == nil && got.err == nil && got.status == 200 {
			t.Fatalf("%d bytes: a complete answer", size)
		}
		got := s.send(get)
		if got.status != 500 || !strings.Contains(string(got.body), "is damaged in this registry's storage: push the image again") {
			t.Errorf("%d bytes: answered %d: %s", size, got.status, got.body)
		}
		if got := s.send(head); got.status != 404 {
			t.Errorf("%d bytes: a HEAD got %d, so that nobody pushes it again", size, got.status)
		}
		s.pushBlob("demo/app", content)
		s.send(get).is(t, d)
		if got := s.send(head); got.status != 200 {
			t.Errorf("%d bytes: pushed again a HEAD gets %d", size, got.status)
		}
	}
}

func TestABlobIsServedWholeAndInPartsBeforeAndAfterItWasVerified(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	for _, size := range []int{0, 1, 2, 600, 10_000, 3 << 20} {
		content := random(t, size)
		get := request{path: "/v2/demo/app/blobs/" + s.pushBlob("demo/app", content).String(), admin: true}
		for range 2 {
			if got := s.send(get); got.status != 200 || got.err != nil || !bytes.Equal(got.body, content) {
				t.Errorf("of %d bytes %d came, status %d, %v", size, len(got.body), got.status, got.err)
			}
		}
		if size < 600 {
			continue
		}
		part := get
		part.header = map[string]string{"Range": "bytes=100-500"}
		if got := s.send(part); got.status != 206 || got.err != nil || !bytes.Equal(got.body, content[100:501]) {
			t.Errorf("of 401 of %d bytes %d came, status %d, %v", size, len(got.body), got.status, got.err)
		}
	}
}

func TestARefetchedBlobIsStoredWhenTheRepairEndsAndCostsOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image, layer, path := s.cached(big(1))
	s.damage(layer)
	got := s.send(request{method: http.MethodPost, path: "/api/v1/fsck?repair=true", admin: true})
	if got.status != 200 || !strings.Contains(string(got.body), `"repaired":"it was fetched anew through docker-hub/library/nginx"`) {
		t.Fatalf("the repair got %d: %s", got.status, got.body)
	}
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
	s.hub.Close()
	s.get(path).wants(t, 200, "larder; hit").is(t, layer)
}

func TestARepairFetchesNothingThatMayNotBeFetchedAnyMore(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	_, layer, _ := s.cached(small(1))
	s.stop()
	s.file = "upstreams: [{name: docker-hub, url: " + s.hub.URL() + ", deny: [library/nginx]}]"
	s.args = nil
	s.start()
	s.damage(layer)
	got := s.send(request{method: http.MethodPost, path: "/api/v1/fsck?repair=true", admin: true})
	if got.status != 200 || strings.Contains(string(got.body), `"repaired"`) || !strings.Contains(string(got.body), "allow and deny lists") {
		t.Errorf("the repair got %d: %s", got.status, got.body)
	}
	s.hubSaw(nil)
}
