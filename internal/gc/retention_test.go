package gc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ago is a time before today, the zero time for zero.
func ago(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return today.Add(-d)
}

// repo is a Holding whose manifests have names.
type repo struct{ Holding }

func of(name string) digest.Digest { return digest.FromString(name) }

// manifest adds one that was pushed and pulled so long ago, and names others.
func (r *repo) manifest(name string, pushed, pulled time.Duration, names ...string) *HeldManifest {
	m := HeldManifest{ManifestLink: metadata.ManifestLink{Digest: of(name), PushedAt: ago(pushed), PulledAt: ago(pulled)}}
	for _, other := range names {
		m.Names = append(m.Names, of(other))
	}
	r.Manifests = append(r.Manifests, m)
	return &r.Manifests[len(r.Manifests)-1]
}

// tag adds a tag that was set so long ago.
func (r *repo) tag(name, manifest string, set time.Duration) {
	r.Tags = append(r.Tags, metadata.Tag{Name: name, Digest: of(manifest), UpdatedAt: ago(set)})
}

// image is a manifest and its one tag, pushed at once.
func (r *repo) image(tag string, pushed, pulled time.Duration) {
	r.manifest(tag, pushed, pulled)
	r.tag(tag, tag, pushed)
}

// removals are the names of what goes, in order. A manifest has @ in front.
func (r *repo) removals(rules Rules, names ...string) []string {
	var all []string
	for _, v := range Judge(rules, r.Holding, today).Removals {
		name := v.Tag
		for _, candidate := range names {
			if v.Tag == "" && of(candidate) == v.Digest {
				name = "@" + candidate
			}
		}
		all = append(all, name)
	}
	return all
}

func TestWhatNoRuleKeepsGoes(t *testing.T) {
	tests := []struct {
		name  string
		rules Rules
		make  func(r *repo)
		want  []string
	}{
		{
			name: "the last tags of a repository stay, by when they were set", rules: Rules{KeepLast: 2},
			make: func(r *repo) {
				r.image("a", 5*day, 0)
				r.image("b", 9*day, 0)
				r.image("c", 7*day, 0)
				r.image("d", 8*day, 0)
			},
			want: []string{"d", "b"},
		},
		{
			name: "what was pulled stays, and what was pushed, since nobody could pull it before", rules: Rules{KeepPulledWithin: 30 * day},
			make: func(r *repo) {
				r.image("pulled", 90*day, 29*day)
				r.image("new", 29*day, 0)
				r.image("old", 90*day, 31*day)
				r.image("never", 31*day, 0)
			},
			want: []string{"never", "old"},
		},
		{
			name: "tags that match a pattern stay", rules: Rules{KeepMatching: []string{"v*", "rc-?"}},
			make: func(r *repo) {
				r.image("v1.2", 90*day, 0)
				r.image("rc-1", 90*day, 0)
				r.image("rc-10", 90*day, 0)
				r.image("my-v1", 91*day, 0)
			},
			want: []string{"rc-10", "my-v1"},
		},
		{
			name:  "immutable tags stay whatever the rules, signatures among them",
			rules: Rules{KeepMatching: []string{"none"}, UntaggedAfter: 7 * day, Immutable: []string{"v*", "*.sig"}},
			make: func(r *repo) {
				r.image("v1", 90*day, 0)
				r.image("latest", 90*day, 0)
				r.manifest("signature", 90*day, 0)
				r.tag("sha256-"+of("latest").Encoded()+".sig", "signature", 90*day)
			},
			want: []string{"latest"},
		},
		{
			name: "a tag stays when any rule keeps it", rules: Rules{KeepLast: 1, KeepPulledWithin: 30 * day, KeepMatching: []string{"v*"}},
			make: func(r *repo) {
				r.image("last", 40*day, 0)
				r.image("v1", 90*day, 0)
				r.image("pulled", 91*day, day)
				r.image("old", 92*day, 0)
			},
			want: []string{"old"},
		},
		{
			name: "without a rule about tags all of them stay", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) { r.image("a", 900*day, 0) },
		},
		{
			name: "whatever the rules, a tag of the last day stays", rules: Rules{KeepLast: 1},
			make: func(r *repo) {
				r.image("a", time.Hour, 0)
				r.image("b", 23*time.Hour, 0)
				r.image("c", 25*time.Hour, 0)
			},
			want: []string{"c"},
		},
		{
			name: "a tag that was set by a clock ahead of this one stays", rules: Rules{KeepLast: 1},
			make: func(r *repo) { r.image("a", -time.Hour, 0); r.image("b", -2*time.Hour, 0) },
		},
		{
			name: "a manifest that loses its last tag now begins its own time", rules: Rules{KeepMatching: []string{"v*"}, UntaggedAfter: 7 * day},
			make: func(r *repo) { r.image("a", 90*day, 0) },
			want: []string{"a"},
		},
		{
			name: "manifests without a tag go after their time", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("old", 8*day, 0)
				r.manifest("new", 6*day, 0)
				r.manifest("pulled", 8*day, 6*day)
				r.manifest("untagged", 8*day, 0).UntaggedAt = ago(6 * day)
			},
			want: []string{"@old"},
		},
		{
			name: "without a rule about them manifests without a tag stay", rules: Rules{KeepLast: 1},
			make: func(r *repo) { r.manifest("old", 90*day, 0) },
		},
		{
			name: "what was pulled stays without a tag, too", rules: Rules{UntaggedAfter: 7 * day, KeepPulledWithin: 30 * day},
			make: func(r *repo) { r.manifest("pulled", 90*day, 20*day); r.manifest("old", 90*day, 31*day) },
			want: []string{"@old"},
		},
		{
			name: "a manifest whose push is not dated stays", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) { r.manifest("old", 0, 90*day) },
		},
		{
			name: "a pinned manifest stays with its tags and all that it names", rules: Rules{KeepMatching: []string{"v*"}, UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("old", 90*day, 0, "amd64").Pinned = true
				r.manifest("amd64", 90*day, 0)
				r.tag("a", "old", 90*day)
				r.tag("b", "amd64", 90*day)
			},
		},
		{
			name: "the platforms of an index stay with it", rules: Rules{KeepLast: 1, UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("index", 90*day, 0, "amd64", "arm64")
				r.manifest("amd64", 90*day, 0)
				r.manifest("arm64", 90*day, 0)
				r.tag("latest", "index", 90*day)
			},
		},
		{
			name: "the platforms of an index that lost its tag lately stay with it", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("index", 90*day, 0, "amd64").UntaggedAt = ago(2 * day)
				r.manifest("amd64", 90*day, 0)
			},
		},
		{
			name: "an index goes before its platforms, save those that another lists", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("amd64", 80*day, 0)
				r.manifest("arm64", 80*day, 0)
				r.manifest("old", 90*day, 0, "amd64", "arm64")
				r.manifest("index", 90*day, 0, "arm64")
				r.tag("latest", "index", 90*day)
			},
			want: []string{"@old", "@amd64"},
		},
		{
			name: "signatures stay with what they sign, and go after it", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("signature", 80*day, 0, "old").Subject = of("old")
				r.manifest("old", 90*day, 0)
				r.manifest("sbom", 80*day, 0, "image").Subject = of("image")
				r.image("image", 90*day, 0)
			},
			want: []string{"@old", "@signature"},
		},
		{
			name: "signatures by tag stay with what they sign, and do not count as tags", rules: Rules{KeepLast: 1, UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.image("image", 90*day, 0)
				r.manifest("signature", 80*day, 0)
				r.tag("sha256-"+of("image").Encoded()+".sig", "signature", 80*day)
				r.image("old", 91*day, 0)
			},
			want: []string{"old"},
		},
		{
			name: "signatures by tag go with what they sign", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("image", 90*day, 0)
				r.manifest("signature", 80*day, 0)
				r.tag("sha256-"+of("image").Encoded()+".sig", "signature", 80*day)
			},
			want: []string{"@image", "sha256-" + of("image").Encoded() + ".sig", "@signature"},
		},
		{
			name: "a list of referrers by tag goes with its subject and before what it lists", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("image", 90*day, 0)
				r.manifest("signature", 80*day, 0, "image").Subject = of("image")
				r.manifest("list", 80*day, 0, "signature")
				r.tag("sha256-"+of("image").Encoded(), "list", 80*day)
			},
			want: []string{"@image", "sha256-" + of("image").Encoded(), "@list", "@signature"},
		},
		{
			name: "what was signed on the last day stays", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.manifest("image", 90*day, 0)
				r.manifest("signature", time.Hour, 0)
				r.tag("sha256-"+of("image").Encoded()+".sig", "signature", time.Hour)
			},
		},
		{
			name: "signatures of what another repository holds stay", rules: Rules{KeepLast: 1, UntaggedAfter: 7 * day},
			make: func(r *repo) {
				r.image("image", 90*day, 0)
				r.manifest("signature", 91*day, 0)
				r.tag("sha256-"+of("elsewhere").Encoded()+".sig", "signature", 91*day)
			},
		},
		{
			name: "a tag that spells its own manifest's digest is as any other", rules: Rules{UntaggedAfter: 7 * day},
			make: func(r *repo) { r.manifest("image", 90*day, 0); r.tag("sha256-"+of("image").Encoded(), "image", 90*day) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &repo{}
			tt.make(r)
			got := r.removals(tt.rules, "old", "new", "index", "amd64", "arm64", "image", "signature", "sbom", "list", "pulled", "untagged")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("what goes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEachVerdictSaysWhy(t *testing.T) {
	r := &repo{}
	r.image("v1", 90*day, 0)
	r.image("last", 40*day, 0)
	r.image("pulled", 80*day, 3*day)
	r.image("old", 81*day, 50*day)
	r.image("fresh", 2*time.Hour, 0)
	r.manifest("index", 60*day, 0, "amd64").Pinned = true
	r.manifest("amd64", 60*day, 0)
	r.manifest("gone", 70*day, 0)
	r.tag("sha256-"+of("v1").Encoded()+".sig", "gone", 70*day)
	r.manifest("loose", 71*day, 40*day)
	rules := Rules{KeepLast: 2, KeepPulledWithin: 30 * day, KeepMatching: []string{"v*"}, UntaggedAfter: 7 * day}
	var got []string
	for _, v := range Judge(rules, r.Holding, today).Verdicts {
		got = append(got, strings.TrimSuffix(v.Tag, of("v1").Encoded()+".sig")+": "+v.Why)
	}
	want := []string{
		"fresh: set within the last day",
		"last: one of the last 2 tags",
		"sha256-: belongs to " + short(of("v1")) + ", which stays",
		"pulled: pulled within 30d",
		"old: no rule keeps it: set 81d ago, pulled 50d ago",
		"v1: matches v*",
		": pinned",
		": pinned",
		": no tag and unused for 40d, pulled 40d ago",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
