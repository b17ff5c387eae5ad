package e2e_test

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

func TestTheShortestStartWorksAsItStands(t *testing.T) {
	hub, err := hubsim.Start(hubsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	image := hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4000}})
	larder := newLarder(t)
	main, mirror := testkit.NewAddress(t), testkit.NewAddress(t)

	running := startDaemon(larder, "serve", "--listen", main, "--mirror-listen", mirror,
		"--data", filepath.Join(larder.home, "data"), "--upstream", "docker-hub="+hub.URL())
	password := running.await(`The user admin was made\. Its password is shown this once:\s+(\S+)\s`)[1]

	for _, url := range []string{
		"http://" + main + "/v2/docker-hub/library/nginx/manifests/latest",
		"http://" + main + "/v2/docker-hub/nginx/manifests/latest",
		"http://" + main + "/v2/library/nginx/manifests/latest?ns=docker.io",
		"http://" + mirror + "/v2/library/nginx/manifests/latest",
	} {
		if body := get(t, url, http.StatusOK, "", ""); string(body) != string(image.Raw) {
			t.Errorf("%s gave %.200q", url, body)
		}
	}
	if n := hub.Counters().PullsCounted; n != 1 {
		t.Errorf("the Hub counted %d pulls, want 1", n)
	}
	get(t, "http://"+main+"/v2/", http.StatusOK, "admin", password)
	get(t, "http://"+main+"/v2/", http.StatusUnauthorized, "admin", password+"x")

	if err := running.stop(); err != nil {
		t.Errorf("Larder ended with %v\n%s", err, running.output)
	}
}

func TestSIGTERMLetsATransferUnderWayFinish(t *testing.T) {
	const size = 3 << 20
	s := newStack(t, hubsim.Options{BlobBandwidth: size})
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{size}})
	layer := image.Manifests[0].Layers[0]

	resp, err := http.Get("http://" + s.main + "/v2/docker-hub/library/nginx/blobs/" + layer.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	stopped := make(chan error, 1)
	go func() { stopped <- s.daemon.stop() }()
	s.daemon.await("shutting down")

	digester := layer.Digest.Verifier()
	if n, err := io.Copy(digester, resp.Body); err != nil || n != size || !digester.Verified() {
		t.Errorf("got %d of %d bytes, error %v, verified %t", n, size, err, digester.Verified())
	}
	if err := <-stopped; err != nil {
		t.Errorf("Larder ended with %v", err)
	}
}

// get fails the test unless the answer has this status. An empty user is a stranger.
func get(t *testing.T, url string, status int, user, password string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s: status %d, want %d, error %v\n%s", url, resp.StatusCode, status, err, body)
	}
	return body
}
