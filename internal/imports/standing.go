package imports

import (
	"context"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// standing is with whose credentials a source is asked for an import.
type standing struct {
	upstream string // "" for a host that is none, which is asked as a stranger
	project  string // that the image is for
	owns     bool   // the project has credentials of its own for the upstream
	// member: whoever set the import may use them, and has the project's share of the pulls.
	// Left: that was so when it was set.
	member, left bool
}

// stand finds out how an import stands now. What was decided when it was set is decided anew
// each time its source is followed, where it matters: a member may have left.
func (i *Importer) stand(ctx context.Context, source Source, row metadata.Import, anew bool) (standing, error) {
	how := standing{upstream: source.Project, member: row.Member}
	how.project, _, _ = strings.Cut(row.Repository, "/")
	how.owns = source.Owns != nil && source.Owns(how.project)
	shares := source.Shares != nil && source.Shares(how.project)
	if anew || !row.Member || !how.owns && !shares {
		return how, nil
	}
	still, err := i.Member(ctx, row.Creator, how.project)
	if err != nil {
		return how, fmt.Errorf("finding out whether %s is a member of project %s: %w", row.Creator, how.project, err)
	}
	how.member, how.left = still, !still
	return how, nil
}

// asker is as whom a source is asked and on whose behalf: the person who wants the tag now,
// and the registry itself when it follows one that is scheduled.
func (how standing) asker(row metadata.Import, anew bool) upstream.Asker {
	payer := oci.Caller{User: row.Creator, Project: how.project}
	if !anew {
		payer.User = oci.UserSelf
	}
	if !how.member {
		return upstream.Any.For(payer)
	}
	payer.Shares = []string{how.project}
	as := upstream.Any.For(payer)
	if how.owns {
		as = as.With(how.project)
	}
	return as
}

// departed says why a project's own credentials are not used any more; "" while they are.
func (how standing) departed(creator string) string {
	if !how.left || !how.owns {
		return ""
	}
	return fmt.Sprintf("the credentials of project %s itself for %s are not used, since %s, who set this import, is no member of the project now: a member can set it again",
		how.project, how.upstream, creator)
}

// asked says with whose credentials a source was asked that did not show the image. Whether
// a project has some is not told to those who are not its members.
func (how standing) asked(creator string) string {
	const common = "it was asked with the credentials that serve everybody, and as a stranger"
	switch {
	case how.upstream == "":
		return ""
	case how.left && how.owns:
		return common + "; " + how.departed(creator)
	case !how.member:
		when := "was not when this import was set"
		if how.left {
			when = "is not now"
		}
		return fmt.Sprintf("%s; those of project %s itself are for its members who may import into all of it, which %s %s", common, how.project, creator, when)
	case !how.owns:
		return fmt.Sprintf("%s; project %s has no credential of its own for it: its admins can run larder upstream credential add %s --project %s --username USER --password-stdin",
			common, how.project, how.upstream, how.project)
	}
	return fmt.Sprintf("it was asked with the credentials of project %s itself, then with those that serve everybody, and as a stranger", how.project)
}
