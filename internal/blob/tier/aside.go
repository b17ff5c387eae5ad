package tier

import (
	"context"
)

// DropCopy removes what is kept of a blob, so that it is read from the store beneath
// next, and tells whether anything was kept: what was damaged may have been the copy.
func (s *Store) DropCopy(key string) (kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fetches[key]; f != nil {
		f.unwanted = true
	}
	return s.shelf.drop(key)
}

// SetAside takes a damaged blob out of the store beneath, which keeps its bytes aside
// if it can.
func (s *Store) SetAside(ctx context.Context, key string) error {
	beneath, ok := s.Store.(interface {
		SetAside(ctx context.Context, key string) error
	})
	if !ok {
		return s.Delete(ctx, key)
	}
	defer s.DropCopy(key)
	return beneath.SetAside(ctx, key)
}
