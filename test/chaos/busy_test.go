package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
)

// work pushes, deletes and reads until the server is gone. The error is nil when it was
// killed by the test.
func (p *pusher) work(ctx context.Context, killed *atomic.Bool, done *atomic.Int64) error {
	for {
		err := p.step(ctx)
		if err == nil {
			done.Add(1)
			continue
		}
		if killed.Load() && !isRefusal(err) {
			return nil
		}
		return fmt.Errorf("%s: %w", p.shelf.repository, err)
	}
}

func (p *pusher) step(ctx context.Context) error {
	switch kind := p.rng.IntN(20); {
	case kind < 10:
		return p.pushImage(ctx)
	case kind < 12:
		return p.pushIndex(ctx)
	case kind < 14:
		return p.leave(ctx)
	case kind < 15:
		return p.deleteTag(ctx)
	case kind < 16:
		return p.deleteManifest(ctx)
	case kind < 18:
		return p.deleteBlob(ctx)
	}
	return p.readBack(ctx)
}

func (p *pusher) pushImage(ctx context.Context) error {
	config := newContent(p.rng.Uint64(), 200)
	var layers []content
	for range 1 + p.rng.IntN(3) {
		layer := p.common[p.rng.IntN(len(p.common))]
		if p.rng.IntN(3) > 0 {
			layer = drawContent(p.rng)
		}
		layers = append(layers, layer)
	}
	for _, c := range append(layers, config) {
		if err := p.pushBlob(ctx, c); err != nil {
			return err
		}
	}
	return p.pushManifest(ctx, newImage(config, layers...))
}

func (p *pusher) pushIndex(ctx context.Context) error {
	images := p.shelf.kept(func(m *manifest) bool { return !m.isIndex() })
	if len(images) < 2 {
		return p.pushImage(ctx)
	}
	first := p.rng.IntN(len(images) - 1)
	return p.pushManifest(ctx, newIndex(images[first:first+2]...))
}

func (p *pusher) deleteTag(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(p.shelf.tags))
	if len(names) == 0 {
		return p.pushImage(ctx)
	}
	name := names[p.rng.IntN(len(names))]
	p.shelf.deletingTag(name)
	if _, err := p.expect(ctx, http.StatusAccepted, request{method: http.MethodDelete, path: p.path("/manifests/" + name)}); err != nil {
		return err
	}
	p.shelf.tagDeleted(name)
	return nil
}

func (p *pusher) deleteManifest(ctx context.Context) error {
	referred := p.shelf.referred()
	free := p.shelf.kept(func(m *manifest) bool { return !referred[m.digest] })
	if len(free) == 0 {
		return p.pushImage(ctx)
	}
	d := free[p.rng.IntN(len(free))].digest
	p.shelf.deletingManifest(d)
	if _, err := p.expect(ctx, http.StatusAccepted, request{method: http.MethodDelete, path: p.path("/manifests/" + d.String())}); err != nil {
		return err
	}
	p.shelf.manifestDeleted(d)
	return nil
}

func (p *pusher) deleteBlob(ctx context.Context) error {
	free := p.shelf.unreferred()
	if len(free) == 0 {
		return p.deleteManifest(ctx)
	}
	d := free[p.rng.IntN(len(free))]
	p.shelf.deletingBlob(d)
	if _, err := p.expect(ctx, http.StatusAccepted, request{method: http.MethodDelete, path: p.path("/blobs/" + d.String())}); err != nil {
		return err
	}
	p.shelf.blobDeleted(d)
	return nil
}

// readBack pulls an image while everything else goes on.
func (p *pusher) readBack(ctx context.Context) error {
	images := p.shelf.kept(func(m *manifest) bool { return !m.isIndex() })
	if len(images) == 0 {
		return p.pushImage(ctx)
	}
	m := images[p.rng.IntN(len(images))]
	for _, path := range append([]string{p.path("/manifests/" + m.digest.String())}, blobPaths(p.shelf.repository, m.refers)...) {
		if err := p.whole(ctx, path); err != nil {
			return err
		}
	}
	return nil
}
