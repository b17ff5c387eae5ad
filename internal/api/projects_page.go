package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// projectsScanned is how many projects are looked at for one page of those that the
// caller may see.
const projectsScanned = 1000

// Cursors hides the places at which lists go on, where they are names that the caller may
// not see.
type Cursors interface {
	SealCursor(ctx context.Context, name string) (string, error)
	// OpenCursor is authn.ErrCursor for what SealCursor has not made.
	OpenCursor(ctx context.Context, cursor string) (name string, err error)
}

// projectPage hands projects to show, which tells whether the caller sees them, until
// there are as many as a page holds or the cluster has been asked enough. Next is where
// the page after it begins: of projects that the caller does not see nothing is told, not
// by where pages end, nor by how many there are unless there are thousands.
func (s *service) projectPage(ctx context.Context, page Page, show func(metadata.Project) (bool, error)) (next string, err error) {
	after, err := s.Cursors.OpenCursor(ctx, page.After)
	if errors.Is(err, authn.ErrCursor) {
		return "", problem(http.StatusBadRequest, err.Error())
	}
	if err != nil {
		return "", err
	}
	// One more than are looked at tells whether there are others.
	all, err := s.Projects.List(ctx, after, projectsScanned+1)
	if err != nil {
		return "", err
	}
	found, last := 0, ""
	for i, p := range all {
		if found == page.Limit {
			return last, nil
		}
		sees, err := false, error(nil)
		if i < projectsScanned {
			sees, err = show(p)
		}
		if i == projectsScanned || i > 0 && errors.Is(err, authz.ErrSpent) {
			return s.cursor(ctx, all[i-1].Name, last)
		}
		if err != nil {
			return "", err
		}
		if sees {
			found, last = found+1, p.Name
		}
	}
	return "", nil
}

// cursor is a name at which a list goes on; hidden, unless the client has just been told
// of it.
func (s *service) cursor(ctx context.Context, name, told string) (string, error) {
	if name == told {
		return name, nil
	}
	return s.Cursors.SealCursor(ctx, name)
}
