package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestADemonstrationFailsWhenAPromiseDidNotHold(t *testing.T) {
	image := hubsim.Pushed{Manifests: make([]hubsim.PushedManifest, 1)} // a config and no layers
	for _, test := range []struct {
		name  string
		judge func(*demo, *act)
		act   act
		holds bool
	}{
		{"one transfer of each", (*demo).judgeCold, act{hub: hubsim.Tally{PullsCounted: 2, BlobGETs: 1, CDNGETs: 1}}, true},
		{"a blob transferred twice", (*demo).judgeCold, act{hub: hubsim.Tally{PullsCounted: 2, BlobGETs: 2, CDNGETs: 2}}, false},
		{"a platform that nobody asked for", (*demo).judgeCold, act{hub: hubsim.Tally{PullsCounted: 3, BlobGETs: 1, CDNGETs: 1}}, false},
		{"one HEAD for each TTL", (*demo).judgeWarm, act{took: 3 * time.Second, hub: hubsim.Tally{ManifestHEADs: 4}}, true},
		{"a HEAD for each pull", (*demo).judgeWarm, act{took: 3 * time.Second, hub: hubsim.Tally{ManifestHEADs: 250}}, false},
		{"a warm pull that was counted", (*demo).judgeWarm, act{took: time.Second, hub: hubsim.Tally{PullsCounted: 1}}, false},
		{"a Hub that was gone", (*demo).judgeGone, act{}, true},
		{"a Hub that was not gone", (*demo).judgeGone, act{hub: hubsim.Tally{Bytes: 1}}, false},
		{"pulls that failed", (*demo).judgeGone, act{failures: []error{errors.New("connection refused")}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.judge(&demo{image: image}, &test.act)
			err := judge([]act{test.act})
			if (err == nil) != test.holds {
				t.Errorf("judged %v, want that it holds: %t", err, test.holds)
			}
		})
	}
}

func TestProgressIsWrittenInPlainLinesWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	counting := p.bar("pulling", 2)
	counting.increment()
	counting.increment()
	p.wait()
	if got := out.String(); got != "pulling ...\npulling: 2 done\n" || strings.Contains(got, "\x1b") {
		t.Errorf("it wrote %q", got)
	}
}
