package gc

import (
	"context"

	"github.com/larder-registry/larder/internal/oci"
)

// Cursor is a place in a preview; the zero Cursor is its beginning.
type Cursor struct {
	Repository string
	Verdict    int // the first of the repository's verdicts that comes next
}

// Previewed is a verdict and the repository that it is about.
type Previewed struct {
	Repository oci.Repository
	Verdict
}

// Preview tells at most limit verdicts of a project by rules that need not be its own,
// ordered by repository, and where the next page begins; nil after the last. It removes
// nothing. A push between two pages may shift those of its repository.
func (r *Retention) Preview(ctx context.Context, project string, rules Rules, from Cursor, limit int) ([]Previewed, *Cursor, error) {
	rules, err := withImmutable(ctx, r.DB, project, rules)
	if err != nil {
		return nil, nil, err
	}
	var all []Previewed
	repository := from.Repository
	if repository == "" {
		if repository, err = r.repositoryAfter(ctx, project, ""); err != nil {
			return nil, nil, err
		}
	}
	for skip := from.Verdict; repository != ""; skip = 0 {
		judgment, err := judgeRepository(ctx, r.DB, repository, rules, r.Now())
		if err != nil {
			return nil, nil, err
		}
		for i := skip; i < len(judgment.Verdicts); i++ {
			if len(all) == limit {
				return all, &Cursor{Repository: repository, Verdict: i}, nil
			}
			all = append(all, Previewed{Repository: oci.Repository(repository), Verdict: judgment.Verdicts[i]})
		}
		if repository, err = r.repositoryAfter(ctx, project, repository); err != nil {
			return nil, nil, err
		}
	}
	return all, nil, nil
}

func (r *Retention) repositoryAfter(ctx context.Context, project, after string) (string, error) {
	next, err := r.DB.Repositories.ListProject(ctx, project, after, 1)
	if err != nil || len(next) == 0 {
		return "", err
	}
	return next[0], nil
}
