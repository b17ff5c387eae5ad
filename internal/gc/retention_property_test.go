package gc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

// broken lists what is wrong with a judgment, whatever the rules were.
func broken(held Holding, judged Judgment) []string {
	var wrong []string
	goes, place := map[digest.Digest]bool{}, map[digest.Digest]int{}
	tagGoes := map[string]bool{}
	for i, v := range judged.Removals {
		if v.Tag == "" {
			goes[v.Digest], place[v.Digest] = true, i
		} else {
			tagGoes[v.Tag] = true
		}
	}
	there := map[digest.Digest]HeldManifest{}
	for _, m := range held.Manifests {
		there[m.Digest] = m
	}
	// With subjects there is not always an order that suits all.
	plain := !slices.ContainsFunc(held.Manifests, func(m HeldManifest) bool { return m.Subject != "" }) &&
		!slices.ContainsFunc(held.Tags, func(t metadata.Tag) bool { return strings.HasPrefix(t.Name, "sha256-") })
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, m := range held.Manifests {
		if goes[m.Digest] && (m.Pinned || today.Sub(lastUse(m)) < settled) {
			complain("%s goes, pinned %v, last used %s", short(m.Digest), m.Pinned, lastUse(m))
		}
		for _, d := range m.Names {
			switch {
			case goes[d] && !goes[m.Digest]:
				complain("%s goes, which %s names", short(d), short(m.Digest))
			case goes[d] && plain && place[d] < place[m.Digest]:
				complain("%s goes before %s, which names it", short(d), short(m.Digest))
			}
		}
		if _, held := there[m.Subject]; held && goes[m.Digest] && !goes[m.Subject] {
			complain("%s goes, but its subject %s stays", short(m.Digest), short(m.Subject))
		}
	}
	for _, t := range held.Tags {
		form, _, _ := strings.Cut(t.Name, ".")
		subject := digest.Digest(strings.Replace(form, "-", ":", 1))
		_, attached := there[subject]
		switch {
		case goes[t.Digest] && !tagGoes[t.Name]:
			complain("%s goes, which tag %s names", short(t.Digest), t.Name)
		case tagGoes[t.Name] && (there[t.Digest].Pinned || today.Sub(t.UpdatedAt) < settled):
			complain("tag %s goes, which is pinned or new", t.Name)
		case attached && tagGoes[t.Name] && !goes[subject]:
			complain("tag %s goes, but what it is attached to stays", t.Name)
		}
	}
	return wrong
}

// anyRepository makes a repository in which everything may hang together with anything
// that is older, as it must be with digests.
func anyRepository(random *rand.Rand) Holding {
	r := &repo{}
	plain := random.IntN(2) == 0
	length := func() time.Duration { return time.Duration(random.IntN(20)) * 12 * time.Hour }
	count := 1 + random.IntN(12)
	name := func(i int) string { return fmt.Sprint("m", i) }
	for i := range count {
		m := r.manifest(name(i), length(), length())
		m.Pinned = random.IntN(12) == 0
		m.UntaggedAt = ago(length())
		for older := range i {
			if random.IntN(5) == 0 {
				m.Names = append(m.Names, of(name(older)))
			}
		}
		if i > 0 && !plain && random.IntN(3) == 0 {
			m.Subject = of(name(random.IntN(i)))
			m.Names = append(m.Names, m.Subject)
		}
	}
	for i := range random.IntN(6) {
		r.tag(fmt.Sprint("v", i), name(random.IntN(count)), length())
	}
	for i := range random.IntN(4) {
		if plain {
			break
		}
		subject := random.IntN(count)
		if carrier := random.IntN(count); carrier > subject {
			r.tag("sha256-"+of(name(subject)).Encoded()+fmt.Sprint(".s", i), name(carrier), length())
		}
	}
	return r.Holding
}

func anyRules(random *rand.Rand) Rules {
	return Rules{
		KeepLast:         random.IntN(4),
		KeepPulledWithin: time.Duration(random.IntN(3)) * 2 * day,
		KeepMatching:     [][]string{nil, {"v1"}, {"*.s*"}}[random.IntN(3)],
		UntaggedAfter:    time.Duration(random.IntN(4)) * 2 * day,
	}
}

func TestNothingGoesThatSomethingWhichStaysRefersTo(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	going := 0
	for range 5000 {
		rules, held := anyRules(random), anyRepository(random)
		judged := Judge(rules, held, today)
		going += len(judged.Removals)
		if wrong := broken(held, judged); len(wrong) > 0 {
			t.Fatalf("seed %d, rules %+v:\n%s\nof %+v", seed, rules, strings.Join(wrong, "\n"), held)
		}
	}
	if going < 1000 {
		t.Fatalf("seed %d: only %d things went, which tries too little", seed, going)
	}
}

func TestWithoutRulesNothingGoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		if gone := Judge(Rules{}, anyRepository(random), today).Removals; len(gone) > 0 {
			t.Fatalf("these go: %+v", gone)
		}
	}
}

func TestABrokenJudgmentIsFound(t *testing.T) {
	r := &repo{}
	r.manifest("index", 9*day, 0, "amd64")
	r.manifest("amd64", 9*day, 0)
	r.tag("v1", "index", 9*day)
	going := func(tag, manifest string) Verdict { return Verdict{Tag: tag, Digest: of(manifest), Goes: true} }
	r.manifest("signed", 9*day, 0)
	signed := *r
	signed.Manifests = slices.Clone(r.Manifests)
	signed.manifest("signature", 9*day, 0, "signed").Subject = of("signed")
	for name, wrong := range map[string]struct {
		held     Holding
		removals []Verdict
	}{
		"a platform of an index that stays": {r.Holding, []Verdict{going("", "amd64")}},
		"a platform before its index":       {r.Holding, []Verdict{going("v1", "index"), going("", "amd64"), going("", "index")}},
		"a manifest whose tag stays":        {r.Holding, []Verdict{going("", "index"), going("", "amd64")}},
		"a signature whose subject stays":   {signed.Holding, []Verdict{going("", "signature")}},
		"a subject whose signature stays":   {signed.Holding, []Verdict{going("", "signed")}},
	} {
		if len(broken(wrong.held, Judgment{Removals: wrong.removals})) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
	right := []Verdict{going("v1", "index"), going("", "index"), going("", "amd64")}
	if wrong := broken(r.Holding, Judgment{Removals: right}); len(wrong) > 0 {
		t.Errorf("a right one is complained about: %v", wrong)
	}
}
