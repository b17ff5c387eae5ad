package gc

import (
	"context"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// orphans removes bytes in storage that no row leads to. They have to have been seen
// like that for the grace, by runs before this one: between a blob's commit and its row
// they look the same, and what storage says of an object's age may be its upload's.
func (p *pass) orphans(ctx context.Context) error {
	var entries []blob.Entry
	flush := func() error {
		err := p.orphansAmong(ctx, entries)
		entries = entries[:0]
		return err
	}
	err := p.Blobs.Walk(ctx, func(e blob.Entry) error {
		if entries = append(entries, e); len(entries) < rowPage {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && p.remove {
		err = p.DB.Orphans.ForgetOlder(ctx, p.now)
	}
	return err
}

func (p *pass) orphansAmong(ctx context.Context, entries []blob.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	keys, sizes := make([]string, 0, len(entries)), make(map[string]int64, len(entries))
	for _, e := range entries {
		keys = append(keys, e.Key)
		sizes[e.Key] = e.Size
	}
	all, err := p.DB.Orphans.Among(ctx, keys)
	if err != nil {
		return err
	}
	if p.remove {
		if err := p.DB.Orphans.Note(ctx, all, p.now); err != nil {
			return err
		}
	}
	for _, o := range all {
		if err := p.orphan(ctx, o, sizes[o.Key]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) orphan(ctx context.Context, o metadata.Orphan, size int64) error {
	if o.SeenAt.IsZero() || !o.SeenAt.Before(p.cutoff) {
		return nil
	}
	if p.remove {
		if removed, err := p.removeOrphan(ctx, o.Key); err != nil || !removed {
			return err
		}
	}
	return p.found(Item{Kind: Orphan, Key: o.Key, Size: size})
}
