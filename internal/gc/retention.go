package gc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Holding is what one repository holds.
type Holding struct {
	Tags      []metadata.Tag
	Manifests []HeldManifest
}

// HeldManifest is a manifest of a repository.
type HeldManifest struct {
	metadata.ManifestLink
	UntaggedAt time.Time       // when it last lost a tag; zero if never
	Names      []digest.Digest // the manifests of the repository that its content names
	ImageSize  int64           // with all that it refers to, in bytes
}

// Verdict says what becomes of a tag, or of a manifest without a tag, and why.
type Verdict struct {
	Tag    string // "" for a manifest
	Digest digest.Digest
	Size   int64 // of the image, in bytes
	Goes   bool
	Why    string

	tag      metadata.Tag
	manifest metadata.ManifestLink
}

// Judgment is what becomes of a repository.
type Judgment struct {
	// Verdicts has each tag and each manifest without a tag: tags first, those that
	// were set or pushed last first.
	Verdicts []Verdict
	// Removals has those that go, in the order in which they are to be removed: at each
	// moment what is there is whole.
	Removals []Verdict
}

// Judge tells what becomes of each tag and each manifest without a tag. It looks at
// nothing but its arguments. These stay whatever the rules say:
//
//   - a tag that is immutable in the project;
//   - what is pinned, and what was pushed, tagged or untagged on the last day;
//   - a manifest that has a tag, be it one that goes: its own time begins then;
//   - what something that stays refers to, as an index refers to the manifests of its
//     platforms;
//   - what refers to a subject that stays, as signatures and SBOMs do, be it by a tag of
//     the form that older clients give them.
func Judge(rules Rules, held Holding, now time.Time) Judgment {
	j := newJudgement(rules, held, now)
	j.keepManifests()
	tags, manifests := j.judgeTags(), j.judgeManifests()
	return Judgment{
		Verdicts: append(slices.Clone(tags), manifests...),
		Removals: j.removals(tags, manifests),
	}
}

// judgement is a Judge at work.
type judgement struct {
	rules     Rules
	now       time.Time
	tags      []metadata.Tag // those set last first
	manifests []HeldManifest // those pushed last first
	relations
	pinned map[digest.Digest]bool   // and all that a pinned one names
	kept   map[digest.Digest]string // manifests that stay, and why
}

func newJudgement(rules Rules, held Holding, now time.Time) *judgement {
	j := &judgement{rules: rules, now: now, relations: relate(held), pinned: map[digest.Digest]bool{}, kept: map[digest.Digest]string{}}
	j.tags = slices.SortedFunc(slices.Values(held.Tags), func(a, b metadata.Tag) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), strings.Compare(a.Name, b.Name))
	})
	j.manifests = slices.SortedFunc(slices.Values(held.Manifests), func(a, b HeldManifest) int {
		return cmp.Or(b.PushedAt.Compare(a.PushedAt), cmp.Compare(a.Digest, b.Digest))
	})
	var next []digest.Digest
	for _, m := range held.Manifests {
		if m.Pinned {
			next = append(next, m.Digest)
		}
	}
	for len(next) > 0 {
		d := next[0]
		next = next[1:]
		if !j.pinned[d] {
			j.pinned[d] = true
			next = append(next, j.names[d]...)
		}
	}
	return j
}

// judgeTags judges the tags. Those that attach something share the fate of its subject,
// and are none of the last tags that a rule keeps.
func (j *judgement) judgeTags() []Verdict {
	var all []Verdict
	newer := 0
	for _, t := range j.tags {
		v := Verdict{Tag: t.Name, Digest: t.Digest, Size: j.held[t.Digest].ImageSize, tag: t}
		switch subject, attached := j.subjectOf(t); {
		case !attached:
			v.Why, v.Goes = j.judgeTag(t, newer)
			newer++
		case subject == "":
			v.Why = "belongs to a manifest that is not in this repository"
		case j.kept[subject] != "":
			v.Why = "belongs to " + short(subject) + ", which stays"
		default:
			v.Why, v.Goes = "belongs to "+short(subject)+", which goes", true
		}
		all = append(all, v)
	}
	return all
}

// judgeTag judges a tag that so many are newer than.
func (j *judgement) judgeTag(t metadata.Tag, newer int) (why string, goes bool) {
	if why := j.keepsTag(t); why != "" {
		return why, false
	}
	if newer < j.rules.KeepLast {
		return fmt.Sprintf("one of the last %d tags", j.rules.KeepLast), false
	}
	if !j.rules.aboutTags() {
		return "no rule is about tags", false
	}
	return fmt.Sprintf("no rule keeps it: set %s ago, %s", age(j.now, t.UpdatedAt), j.pulledAgo(t.Digest)), true
}

// keepsTag says why a tag stays whatever its place among the others, "" if it does not.
func (j *judgement) keepsTag(t metadata.Tag) string {
	m, there := j.held[t.Digest]
	within := j.rules.KeepPulledWithin
	immutable, stays := j.rules.Immutable.Matching(t.Name)
	switch pattern, matches := oci.TagPatterns(j.rules.KeepMatching).Matching(t.Name); {
	case !there:
		return "set while the repository was being read"
	case stays:
		return "immutable by " + immutable
	case j.pinned[t.Digest]:
		return "pinned"
	case matches:
		return "matches " + pattern
	case j.since(t.UpdatedAt) < settled:
		return "set within the last day"
	case !m.PulledAt.IsZero() && j.since(m.PulledAt) < within:
		return "pulled within " + formatSpan(within)
	case j.since(t.UpdatedAt) < within:
		return "set within " + formatSpan(within)
	}
	return ""
}

// since is how long ago a time was; one to come, left by a clock that was set back,
// counts as now.
func (j *judgement) since(t time.Time) time.Duration { return max(0, j.now.Sub(t)) }

func (j *judgement) pulledAgo(d digest.Digest) string {
	pulled := j.held[d].PulledAt
	if pulled.IsZero() {
		return "never pulled"
	}
	return "pulled " + age(j.now, pulled) + " ago"
}

// age is a time that has gone by, in whole days once it is two.
func age(now, then time.Time) string {
	d := max(0, now.Sub(then))
	if d < 2*24*time.Hour {
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// short is as much of a digest as people compare.
func short(d digest.Digest) string { return d.String()[:min(len(d), len("sha256:")+12)] }
