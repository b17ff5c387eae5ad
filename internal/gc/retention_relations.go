package gc

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

// attachedHex is how much of a digest a tag holds that attaches something to it.
const attachedHex = 64

// relations is how the manifests of a repository and its tags hang together.
type relations struct {
	held map[digest.Digest]HeldManifest
	// byTagForm finds a manifest by its digest as tags have it, as in sha256-2cf2...
	byTagForm map[string]digest.Digest
	tagged    map[digest.Digest]bool           // by a tag that does not attach it
	attached  map[digest.Digest][]metadata.Tag // tags that attach a manifest to another
	// names has the manifests that one names, its subjects included; subjects has those
	// that it was made for, and referrers the other way round.
	names, subjects, referrers map[digest.Digest][]digest.Digest
}

func relate(held Holding) relations {
	r := relations{
		held: map[digest.Digest]HeldManifest{}, byTagForm: map[string]digest.Digest{},
		tagged: map[digest.Digest]bool{}, attached: map[digest.Digest][]metadata.Tag{},
		names: map[digest.Digest][]digest.Digest{}, subjects: map[digest.Digest][]digest.Digest{}, referrers: map[digest.Digest][]digest.Digest{},
	}
	for _, m := range held.Manifests {
		r.held[m.Digest] = m
		r.names[m.Digest] = m.Names
		hex := m.Digest.Encoded()
		r.byTagForm[m.Digest.Algorithm().String()+"-"+hex[:min(attachedHex, len(hex))]] = m.Digest
	}
	for _, m := range held.Manifests {
		if m.Subject != "" {
			r.refer(m.Digest, m.Subject)
		}
	}
	for _, t := range held.Tags {
		subject, attached := r.subjectOf(t)
		if !attached || subject == "" {
			r.tagged[t.Digest] = true
			continue
		}
		r.attached[t.Digest] = append(r.attached[t.Digest], t)
		r.refer(t.Digest, subject)
	}
	return r
}

func (r *relations) refer(d, subject digest.Digest) {
	r.names[d] = append(r.names[d][:len(r.names[d]):len(r.names[d])], subject)
	r.subjects[d] = append(r.subjects[d], subject)
	r.referrers[subject] = append(r.referrers[subject], d)
}

// subjectOf tells whether a tag attaches its manifest to another, and to which; "" for
// one that is not in the repository, since signatures may have a repository of their
// own. Such are the tags of signatures and attestations, and the one for referrers where
// a registry has no API for them (OCI Distribution 1.1, §Referrers tag schema). A tag
// that spells the digest of its own manifest is as any other.
func (r *relations) subjectOf(t metadata.Tag) (subject digest.Digest, attached bool) {
	form, _, _ := strings.Cut(t.Name, ".")
	algorithm, hex, _ := strings.Cut(form, "-")
	if algorithm != "sha256" && algorithm != "sha512" || len(hex) != attachedHex || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", false
	}
	subject = r.byTagForm[form]
	return subject, subject != t.Digest
}

// removals puts what goes in order: tags, then each manifest before those that it names
// and before those that refer to it. A tag that attaches a manifest goes right before
// that.
func (j *judgement) removals(tags, manifests []Verdict) []Verdict {
	var all []Verdict
	attached := map[digest.Digest][]Verdict{}
	for _, v := range tags {
		if _, is := j.subjectOf(v.tag); v.Goes && is {
			attached[v.Digest] = append(attached[v.Digest], v)
		} else if v.Goes {
			all = append(all, v)
		}
	}
	going := map[digest.Digest]Verdict{}
	for _, v := range manifests {
		if v.Goes {
			going[v.Digest] = v
		}
	}
	for _, d := range j.inOrder(manifests, going) {
		all = append(append(all, attached[d]...), going[d])
	}
	return all
}

// inOrder sorts what goes after what has to go before it. No chain of digests leads back
// to its beginning, but one of names and subjects mixed may be made to: the rest then
// follows as it comes.
func (j *judgement) inOrder(manifests []Verdict, going map[digest.Digest]Verdict) []digest.Digest {
	waitsFor := map[digest.Digest]int{}
	for d := range going {
		for _, next := range j.after(d) {
			waitsFor[next]++
		}
	}
	var order []digest.Digest
	done := map[digest.Digest]bool{}
	put := func(d digest.Digest) {
		if _, goes := going[d]; goes && !done[d] {
			done[d] = true
			order = append(order, d)
		}
	}
	for _, v := range manifests {
		if waitsFor[v.Digest] == 0 {
			put(v.Digest)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, next := range j.after(order[i]) {
			if waitsFor[next]--; waitsFor[next] == 0 {
				put(next)
			}
		}
	}
	for _, v := range manifests {
		put(v.Digest)
	}
	return order
}

// after lists what may only go after a manifest: what it names, save its subjects, and
// what refers to it.
func (j *judgement) after(d digest.Digest) []digest.Digest {
	subjects := map[digest.Digest]bool{}
	for _, s := range j.subjects[d] {
		subjects[s] = true
	}
	var all []digest.Digest
	for _, named := range j.names[d] {
		if !subjects[named] {
			all = append(all, named)
		}
	}
	return append(all, j.referrers[d]...)
}
