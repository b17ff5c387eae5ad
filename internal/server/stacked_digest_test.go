package server_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// containerd and docker HEAD a tag, and go on by digest.
func TestATagPulledByItsDigestIsServedWithoutTheHub(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.head(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; fwd-status=200")
	s.get(nginx+"manifests/"+image.Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.clock.Pass(61 * time.Second)

	s.head(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error")
	s.restart()
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error").is(t, image.Digest)
}

func TestASecondTagOfAHeldManifestIsKeptByItsHEADAlone(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/nginx", "1.29", small(1))
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	s.head(nginx+"manifests/1.29").wants(t, 200, "larder; fwd=miss; fwd-status=200")
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.restart()
	s.get(nginx+"manifests/1.29").wants(t, 200, "larder; hit").is(t, image.Digest)
}

func TestAHEADByDigestCostsNoPull(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	got := s.head(nginx+"manifests/"+image.Digest.String()).wants(t, 200, "larder; fwd=miss; fwd-status=200")
	if d := got.header.Get("Docker-Content-Digest"); d != image.Digest.String() {
		t.Errorf("announced %s", d)
	}
	if counted := s.hub.Counters().PullsCounted; counted != 0 {
		t.Errorf("the Hub counted %d pulls", counted)
	}
}

func TestARefusedTagListDoesNotCloseAPublicRepository(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.Break(hubsim.Fault{Kind: hubsim.Forbidden403, Path: hubsim.TagsPath})
	if got := s.get(nginx + "tags/list"); got.status != 401 {
		t.Errorf("the list got %d", got.status)
	}
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
}

func TestATransferOutlivesAReloadOfTheConfiguration(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobBandwidth: 8 << 20, TokenLife: time.Minute}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.CDNPath, Bytes: 2 << 20, Times: 1})
	resp, err := s.open(t.Context(), request{path: nginx + "blobs/" + layer.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d", resp.StatusCode)
	}
	s.reload()
	s.clock.Pass(2 * time.Minute) // the token that the transfer began with has expired
	body, err := io.ReadAll(resp.Body)
	if err != nil || layer.Algorithm().FromBytes(body) != layer {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}
