package gc

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// judgeManifests judges the manifests that no tag names, and tells of those that go with
// a tag which attaches them to another.
func (j *judgement) judgeManifests() []Verdict {
	var all []Verdict
	for _, m := range j.manifests {
		why := j.kept[m.Digest]
		if why != "" && (j.tagged[m.Digest] || len(j.attached[m.Digest]) > 0) {
			continue // its tags say all
		}
		v := Verdict{Digest: m.Digest, Size: m.ImageSize, Why: why, manifest: m.ManifestLink}
		if why == "" {
			v.Goes = true
			v.Why = fmt.Sprintf("no tag and unused for %s, %s", age(j.now, lastUse(m)), j.pulledAgo(m.Digest))
		}
		all = append(all, v)
	}
	return all
}

// keepManifests finds the manifests that stay, and why: those with a reason of their
// own, and those that belong to one that stays.
func (j *judgement) keepManifests() {
	var next []digest.Digest
	keep := func(d digest.Digest, why string) {
		if _, there := j.held[d]; there && j.kept[d] == "" {
			j.kept[d] = why
			next = append(next, d)
		}
	}
	for _, m := range j.manifests {
		if why := j.keepsManifest(m); why != "" {
			keep(m.Digest, why)
		}
	}
	for len(next) > 0 {
		d := next[0]
		next = next[1:]
		for _, named := range j.names[d] {
			keep(named, "belongs to "+short(d)+", which stays")
		}
		for _, referrer := range j.referrers[d] {
			keep(referrer, "refers to "+short(d)+", which stays")
		}
	}
}

// keepsManifest says why a manifest stays by itself, "" if it does not.
func (j *judgement) keepsManifest(m HeldManifest) string {
	unused := j.since(lastUse(m))
	switch {
	case j.tagged[m.Digest]:
		return "has a tag"
	case j.pinned[m.Digest]:
		return "pinned"
	case j.rules.UntaggedAfter == 0:
		return "no rule is about manifests without a tag"
	case m.PushedAt.IsZero():
		return "it is not known when it was pushed"
	case unused < settled:
		return "pushed, pulled or untagged within the last day"
	case unused < j.rules.UntaggedAfter:
		return "no tag, but unused for less than " + formatSpan(j.rules.UntaggedAfter)
	case unused < j.rules.KeepPulledWithin:
		return "pushed, pulled or untagged within " + formatSpan(j.rules.KeepPulledWithin)
	}
	for _, t := range j.attached[m.Digest] {
		if why := j.keepsTag(t); why != "" {
			return "tag " + t.Name + ": " + why
		}
	}
	return ""
}

// lastUse is when a manifest was last pushed or pulled, or lost a tag.
func lastUse(m HeldManifest) time.Time {
	return slices.MaxFunc([]time.Time{m.PushedAt, m.PulledAt, m.UntaggedAt}, time.Time.Compare)
}
