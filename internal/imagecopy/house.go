package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/oci"
)

// Move is a repository and where its tags go.
type Move struct{ From, To name.Repository }

// Moving says what a whole move is about.
type Moving struct {
	// From are prefixes such as old.example.com/project; of several each is one
	// repository, and goes below To by its last word.
	From []string
	To   string
	// Repositories, when not empty, are the names to copy: whole, or below From.
	Repositories []string
}

// prefix is a registry with the beginning of names in it.
type prefix struct {
	registry name.Registry
	path     string // may be empty
}

func (n Naming) prefix(text string) (prefix, error) {
	host, rest, _ := strings.Cut(strings.TrimPrefix(text, "docker://"), "/")
	rest = strings.Trim(rest, "/")
	if err := namesHost(host + "/" + rest); err != nil {
		return prefix{}, fmt.Errorf("%q does not begin with a registry: write HOST/PROJECT", text)
	}
	if rest != "" {
		if err := oci.CheckName(rest); err != nil {
			return prefix{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	registry, err := name.NewRegistry(host, n.options()...)
	if err != nil {
		return prefix{}, fmt.Errorf("%q names no registry: write HOST/PROJECT: %w", text, err)
	}
	return prefix{registry, rest}, nil
}

func (p prefix) String() string {
	return strings.TrimSuffix(Place{}.hub(p.registry.Name()+"/"+p.path), "/")
}

// below is a repository of the prefix.
func (p prefix) below(rest string) name.Repository {
	return p.registry.Repo(path.Join(p.path, rest))
}

// rest is a repository's name without the prefix; false where it is not below it.
func (p prefix) rest(repository string) (string, bool) {
	if p.path == "" || repository == p.path {
		return strings.TrimPrefix(repository, p.path), true
	}
	return strings.CutPrefix(repository, p.path+"/")
}

// Moves finds the repositories of a move. They are sorted.
func (c *Copier) Moves(ctx context.Context, n Naming, m Moving) ([]Move, error) {
	to, err := n.prefix(m.To)
	if err != nil {
		return nil, err
	}
	var from []prefix
	for _, text := range m.From {
		p, err := n.prefix(text)
		if err != nil {
			return nil, err
		}
		from = append(from, p)
	}
	var moves []Move
	switch {
	case len(from) > 1:
		for _, p := range from {
			moves = append(moves, Move{p.below(""), to.below(path.Base(p.path))})
		}
	case len(m.Repositories) > 0:
		moves, err = named(from[0], to, m.Repositories)
	default:
		moves, err = c.listed(ctx, from[0], to)
	}
	slices.SortFunc(moves, func(a, b Move) int { return strings.Compare(a.From.Name(), b.From.Name()) })
	return slices.Compact(moves), err
}

// named reads names as people list them, also those of oc get imagestreams -o name.
func named(from, to prefix, names []string) ([]Move, error) {
	var moves []Move
	for _, text := range names {
		repository := strings.TrimPrefix(text, from.registry.Name()+"/")
		for _, kind := range []string{"imagestream.image.openshift.io/", "imagestream/"} {
			repository = strings.TrimPrefix(repository, kind)
		}
		if rest, below := from.rest(repository); below {
			repository = rest
		}
		if err := oci.CheckName(path.Join(from.path, repository)); err != nil {
			return nil, fmt.Errorf("repository %q: %w", text, err)
		}
		moves = append(moves, Move{from.below(repository), to.below(repository)})
	}
	return moves, nil
}

// listed asks the source's catalog. Where that is refused, the source may be one
// repository.
func (c *Copier) listed(ctx context.Context, from, to prefix) ([]Move, error) {
	all, err := c.Registries.puller.Catalog(ctx, from.registry)
	if err != nil {
		if tags, _ := c.Registries.puller.List(ctx, from.below("")); from.path != "" && len(tags) > 0 {
			return []Move{{from.below(""), to.below("")}}, nil
		}
		err = explain("listing the repositories of", from.String(), from.registry, err)
		return nil, fmt.Errorf("%w. Many registries list them for administrators alone, OpenShift among them. Name them instead: larder copy --all %[2]s/ONE %[2]s/ANOTHER %[3]s, or --repositories FILE with one name on each line, such as oc get imagestreams -o name prints them", err, from, to)
	}
	var moves []Move
	for _, repository := range all {
		if rest, below := from.rest(repository); below {
			moves = append(moves, Move{from.below(rest), to.below(rest)})
		}
	}
	if len(moves) == 0 {
		return nil, fmt.Errorf("%s lists no repository below %s, or you may not see any: log in there, or name them with --repositories FILE", Place{}.hub(from.registry.Name()), from)
	}
	return moves, nil
}

// Outcome is what came of one tag, or of a repository whose tags could not be listed.
type Outcome struct {
	From, To string
	Result   Result
	Err      error
}

// CopyAll copies every tag of the repositories and goes on after a failure: tell hears
// of each outcome, of several at once. The error is only that of a ctx that has ended.
func (c *Copier) CopyAll(ctx context.Context, moves []Move, meter func(tag string) Meter, tell func(Outcome)) error {
	// The bound is on the whole, so each image sends one blob after the other.
	each := *c
	each.Jobs = 1
	var copying errgroup.Group
	copying.SetLimit(max(1, c.Jobs))
	for _, move := range moves {
		tags, err := c.Registries.tags(ctx, move.From)
		if err != nil && ctx.Err() == nil {
			tell(Outcome{From: Place{}.hub(move.From.Name()), To: Place{}.hub(move.To.Name()), Err: err})
		}
		for _, tag := range tags {
			if ctx.Err() != nil {
				break
			}
			from, to := Place{image: move.From.Tag(tag)}, Place{image: move.To.Tag(tag)}
			copying.Go(func() error {
				result, err := each.Copy(ctx, from, to, meter(from.String()))
				if err == nil || !errors.Is(err, context.Canceled) {
					tell(Outcome{From: from.String(), To: to.String(), Result: result, Err: err})
				}
				return nil
			})
		}
	}
	_ = copying.Wait() // each failure was told
	return ctx.Err()
}
