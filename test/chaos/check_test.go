package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// sample is how many of the older blobs and manifests of a shelf are looked at after
// each start; all of them are after the last.
const sample = 8

// errWrongBytes is an answer that is complete and should never have been.
var errWrongBytes = errors.New("unverified bytes were served")

func isRefusal(err error) bool { return errors.Is(err, errRefused) }

func blobPaths(repository string, digests []digest.Digest) []string {
	var paths []string
	for _, d := range digests {
		paths = append(paths, "/v2/"+repository+"/blobs/"+d.String())
	}
	return paths
}

// whole gets a blob or manifest, whose path ends with its digest, and checks its bytes.
func (c *client) whole(ctx context.Context, name string) error {
	there, err := c.there(ctx, name)
	if err == nil && !there {
		err = fmt.Errorf("%w: %s is gone", errRefused, name)
	}
	return err
}

// there is whole for what may be gone: anything between whole and gone is an error.
func (c *client) there(ctx context.Context, name string) (bool, error) {
	a, err := c.get(ctx, name)
	switch {
	case err != nil:
		return false, fmt.Errorf("GET %s: %w", name, err)
	case a.status == http.StatusNotFound:
		return false, nil
	case a.status != http.StatusOK:
		return false, fmt.Errorf("%w to GET %s: %s", errRefused, name, a)
	case a.digest.String() != path.Base(name):
		return false, fmt.Errorf("%w: %w: GET %s gave %d bytes of %s", errRefused, errWrongBytes, name, a.size, a.digest)
	}
	return true, nil
}

// settle compares what the server has with what its client knows, and makes certain
// what it was unsure of. It looks at what was touched and at a sample of the rest.
func (p *pusher) settle(ctx context.Context, all bool) (looked int, err error) {
	for _, d := range p.due(slices.Sorted(maps.Keys(p.shelf.blobs)), all) {
		state, err := p.certain(ctx, "/blobs/"+d.String(), p.shelf.blobs[d])
		if err != nil {
			return looked, err
		}
		p.shelf.blobs[d] = state
		looked++
	}
	for _, d := range p.due(slices.Sorted(maps.Keys(p.shelf.manifests)), all) {
		m := p.shelf.manifests[d]
		if m.state, err = p.certain(ctx, "/manifests/"+d.String(), m.state); err != nil {
			return looked, err
		}
		looked++
	}
	clear(p.shelf.touched)
	if err := p.settleTags(ctx); err != nil {
		return looked, err
	}
	p.shelf.note()
	return looked, p.settleList(ctx)
}

// due are those that settle looks at.
func (p *pusher) due(known []digest.Digest, all bool) []digest.Digest {
	var chosen, older []digest.Digest
	for _, d := range known {
		if all || p.shelf.touched[d] {
			chosen = append(chosen, d)
		} else {
			older = append(older, d)
		}
	}
	shuffle(p.rng, older)
	return append(chosen, older[:min(sample, len(older))]...)
}

func shuffle(rng *rand.Rand, digests []digest.Digest) {
	rng.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
}

func (p *pusher) certain(ctx context.Context, rest string, known certainty) (certainty, error) {
	there, err := p.there(ctx, p.path(rest))
	found := absent
	if there {
		found = present
	}
	switch {
	case err != nil:
		return known, err
	case known == present && !there:
		return known, fmt.Errorf("%w: %s was acknowledged and is gone", errRefused, p.path(rest))
	case known == absent && there:
		return known, fmt.Errorf("%w: %s was deleted and is back", errRefused, p.path(rest))
	}
	return found, nil
}

// settleTags finds every tag at a manifest that it may point to and that is whole.
func (p *pusher) settleTags(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(p.shelf.tags)) {
		known := p.shelf.tags[name]
		a, err := p.get(ctx, p.path("/manifests/"+name))
		switch {
		case err != nil:
			return err
		case a.status == http.StatusNotFound && known.mayBeGone:
			delete(p.shelf.tags, name)
			continue
		case a.status != http.StatusOK || !slices.Contains(known.digests, a.digest):
			return fmt.Errorf("%w to tag %s, which is one of %v: %s", errRefused, name, known.digests, a)
		}
		p.shelf.tags[name] = tag{digests: []digest.Digest{a.digest}}
		m := p.shelf.manifests[a.digest]
		kind := "/blobs/"
		if m.isIndex() {
			kind = "/manifests/"
		}
		for _, d := range m.refers {
			if err := p.whole(ctx, p.path(kind+d.String())); err != nil {
				return fmt.Errorf("following tag %s: %w", name, err)
			}
		}
	}
	return nil
}

// settleList finds no more and no fewer tags than there are.
func (p *pusher) settleList(ctx context.Context) error {
	a, err := p.get(ctx, p.path("/tags/list"))
	if err != nil || a.status == http.StatusNotFound && len(p.shelf.tags) == 0 {
		return err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(a.body, &list); err != nil || !a.ok() {
		return fmt.Errorf("%w to a list of tags: %s", errRefused, a)
	}
	want := slices.AppendSeq([]string{}, maps.Keys(p.shelf.tags))
	slices.Sort(want)
	if diff := cmp.Diff(want, list.Tags); diff != "" {
		return fmt.Errorf("%w to a list of tags (-want +got):\n%s", errRefused, diff)
	}
	return nil
}
