package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestACallIsLikelyForThePodThatWasAnnouncedForItsImage(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := &Ledger{config: Config{Now: func() time.Time { return now }}}
	nginx := Coming{Upstream: "hub", Repository: "library/nginx", Tag: "1", Namespace: "shop", Workload: "Deployment/web"}
	l.Announce(nginx)
	l.Announce(Coming{Upstream: "hub", Repository: "library/nginx", Tag: "2", Namespace: "demo", Workload: "Pod/try"})
	node := oci.Caller{}
	tests := map[string]struct {
		call upstream.Call
		want string
	}{
		"a tag":                         {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1", For: node}, "shop Deployment/web"},
		"another tag":                   {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "2", For: node}, "demo Pod/try"},
		"a tag that nobody announced":   {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "3", For: node}, " "},
		"a platform or a blob":          {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "sha256:aa", For: node}, "demo Pod/try"},
		"another repository":            {upstream.Call{Upstream: "hub", Repository: "library/redis", Reference: "1", For: node}, " "},
		"another upstream":              {upstream.Call{Upstream: "quay", Repository: "library/nginx", Reference: "1", For: node}, " "},
		"the version check":             {upstream.Call{Upstream: "hub", For: node}, " "},
		"by a service account":          {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1", For: oci.Caller{User: "system:serviceaccount:shop:pull", Project: "shop"}}, "shop Deployment/web"},
		"by a person":                   {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1", For: oci.Caller{User: "alice"}}, " "},
		"by the registry itself":        {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1", For: oci.Caller{User: oci.UserSelf}}, " "},
		"for a namespace that is known": {upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1", For: oci.Caller{Namespace: "own"}}, "own "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := l.attributed(test.call).For
			if is := got.Namespace + " " + got.Workload; is != test.want {
				t.Errorf("it is for %q, want %q", is, test.want)
			}
		})
	}
	now = now.Add(comingFor)
	if got := l.attributed(tests["a tag"].call).For.Namespace; got != "" {
		t.Errorf("minutes later it is for %q still", got)
	}
}

func TestWhatIsAnnouncedIsBounded(t *testing.T) {
	now := time.Now()
	var c coming
	for i := range maxComing + 100 {
		c.add(Coming{Repository: fmt.Sprint("image", i), Namespace: "shop"}, now)
	}
	for i := range 100 {
		c.add(Coming{Repository: "one", Tag: fmt.Sprint(i), Namespace: "shop"}, now)
	}
	if len(c.by) != maxComing || len(c.order) != maxComing || len(c.by[comingKey{"", "one"}]) != maxComingEach {
		t.Errorf("%d repositories are expected, and %d pulls of one", len(c.by), len(c.by[comingKey{"", "one"}]))
	}
	c.add(Coming{Repository: "last"}, now.Add(comingFor))
	if len(c.by) != 1 {
		t.Errorf("%d repositories are expected after all that", len(c.by))
	}
	l := &Ledger{config: Config{Now: time.Now}}
	long := Coming{Repository: strings.Repeat("x", maxComingText+1)}
	l.Announce(long)
	l.Hear(pack([]Coming{long}, metadata.MaxHint)[0])
	if len(l.coming.by) != 0 {
		t.Error("a name of any length is kept")
	}
}
