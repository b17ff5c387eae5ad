package e2e_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestThreeEnginesPullOneColdImageAtOnceAtTheCostOfOne(t *testing.T) {
	// No blob comes before all three have asked.
	s := newStack(t, hubsim.Options{BlobLatency: 2 * time.Second})
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	docker, podman, ctr := s.newDocker(t), newPodman(t, mirrored(s.mirror)), newContainerd(t)

	for _, finish := range []func() result{
		docker.begin("", "pull", "nginx"),
		podman.begin("", "pull", "docker.io/library/nginx"),
		ctr.begin("", s.pullByHosts(ctr, "docker.io/library/nginx:latest")...),
	} {
		if got := finish(); got.code != 0 {
			t.Errorf("exit status %d\n%s", got.code, got.both())
		}
	}

	if pulls := s.hub.Counters().PullsCounted; pulls > 3 {
		// The index by its tag, the index by its digest, the platform's manifest.
		t.Errorf("the Hub counted %d pulls, want 3 at most", pulls)
	}
	transfers := map[string]int{}
	for _, r := range s.hub.Requests() {
		if r.Service == hubsim.CDN {
			transfers[r.Path]++
		}
	}
	want := map[string]int{
		"cdn/" + image.Manifests[0].Config.Digest.String():    1,
		"cdn/" + image.Manifests[0].Layers[0].Digest.String(): 1,
	}
	if diff := cmp.Diff(want, transfers); diff != "" {
		t.Errorf("transfers (-want +got):\n%s", diff)
	}
}

func TestAPullGoesOnWhereAConnectionOfTheHubBroke(t *testing.T) {
	const size, arrived = 300_000, 100_000
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{size}})
	layer := image.Manifests[0].Layers[0].Digest.String()
	s.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.BlobPath, Reference: layer, Bytes: arrived, Times: 1})

	newPodman(t, mirrored(s.mirror)).run("pull", "docker.io/library/nginx")

	var transfers []string
	for _, r := range s.hub.Requests() {
		if r.Path == "cdn/"+layer {
			transfers = append(transfers, strings.TrimSpace(r.Method+" "+r.Range))
		}
	}
	if diff := cmp.Diff([]string{"GET", "GET bytes=100000-"}, transfers); diff != "" {
		t.Errorf("transfers (-want +got):\n%s", diff)
	}
}

func TestNoClientGetsAWholeAnswerOfWrongBytes(t *testing.T) {
	tests := []struct {
		name string
		size int64
		hub  hubsim.Options
		want string
	}{
		{
			name: "a transfer under way is cut off", want: `unexpected EOF`,
			size: 300_000, hub: hubsim.Options{BlobBandwidth: 600_000},
		},
		{
			// What the client sees depends on what was found first: an error of the Hub's,
			// a connection that is cut within the body, or one cut before the headers.
			name: "one that came at once is an error, or cut off", want: `EOF|502 \(Bad Gateway\)`,
			size: layerSize,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStack(t, tt.hub)
			image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{tt.size}})
			restore := s.hub.Break(hubsim.Fault{
				Kind: hubsim.FlipByte, Path: hubsim.BlobPath, Reference: image.Manifests[0].Layers[0].Digest.String(), Bytes: tt.size / 2,
			})
			client := newSkopeo(t)
			pull := []string{"copy", "--src-tls-verify=false", "docker://" + s.main + "/docker-hub/nginx", "dir:" + filepath.Join(client.home, "nginx")}

			if printed := client.fails(pull...); !regexp.MustCompile(tt.want).MatchString(printed) {
				t.Errorf("skopeo printed:\n%s\nwant: %s", printed, tt.want)
			}

			restore()
			client.run(pull...)
		})
	}
}
