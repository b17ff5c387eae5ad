package gc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Retirer removes what retention has found to go, provided that it is still as it was
// found.
type Retirer interface {
	RetireTag(ctx context.Context, repo oci.Repository, t metadata.Tag) (retired bool, err error)
	RetireManifest(ctx context.Context, repo oci.Repository, m metadata.ManifestLink) (retired bool, err error)
}

// Retention keeps to the rules of projects.
type Retention struct {
	DB      *metadata.DB
	Retirer Retirer
	Now     func() time.Time
}

// Retired counts what a run has done.
type Retired struct {
	Projects, Tags, Manifests int
	// Changed counts the repositories of which the rest was left for the next run,
	// because somebody pushed to them or pulled from them at that moment.
	Changed int
}

// removal is what goes from one repository, in order.
type removal struct {
	repository oci.Repository
	verdicts   []Verdict
}

// Run retires what the rules of all projects do not keep. Everything is read before
// anything is removed, and an error while reading leaves everything as it is. ErrBusy is
// in the chain when somebody else holds the lease.
func (r *Retention) Run(ctx context.Context) (Retired, error) {
	var done Retired
	lease := metadata.Lease{Name: Lease, Holder: rand.Text()}
	err := r.DB.Leases.Hold(ctx, lease, leaseLife, func(ctx context.Context) (err error) {
		done, err = r.run(ctx)
		return err
	})
	if errors.Is(err, metadata.ErrLeased) {
		return Retired{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return done, err
}

func (r *Retention) run(ctx context.Context) (Retired, error) {
	var ruled []metadata.Retention
	err := forEach(
		func(after string) ([]metadata.Retention, error) { return r.DB.Retentions.List(ctx, after, rowPage) },
		func(p metadata.Retention) (string, error) { ruled = append(ruled, p); return p.Project, nil })
	if err != nil {
		return Retired{}, fmt.Errorf("reading the rules of retention: %w", err)
	}
	var removals []removal
	for _, p := range ruled {
		rules, err := ParseRules([]byte(p.Rules))
		if err != nil {
			return Retired{}, fmt.Errorf("nothing was retired, since the rules of project %s cannot be read: %w", p.Project, err)
		}
		some, err := r.judgeProject(ctx, p.Project, rules)
		if err != nil {
			return Retired{}, fmt.Errorf("nothing was retired, since project %s could not be read: %w", p.Project, err)
		}
		removals = append(removals, some...)
	}
	done := Retired{Projects: len(ruled)}
	var all error
	for _, one := range removals {
		if err := r.remove(ctx, one, &done); err != nil {
			all = errors.Join(all, err)
		}
	}
	return done, all
}

func (r *Retention) judgeProject(ctx context.Context, project string, rules Rules) ([]removal, error) {
	rules, err := withImmutable(ctx, r.DB, project, rules)
	if err != nil {
		return nil, err
	}
	var all []removal
	err = forEach(
		func(after string) ([]string, error) {
			return r.DB.Repositories.ListProject(ctx, project, after, rowPage)
		},
		func(repository string) (string, error) {
			judgment, err := judgeRepository(ctx, r.DB, repository, rules, r.Now())
			if len(judgment.Removals) > 0 {
				all = append(all, removal{oci.Repository(repository), judgment.Removals})
			}
			return repository, err
		})
	return all, err
}

// remove removes in order, and stops at what is no longer as it was judged: what comes
// after may belong to it.
func (r *Retention) remove(ctx context.Context, what removal, done *Retired) error {
	for _, v := range what.verdicts {
		retired, err := r.retire(ctx, what.repository, v)
		if err != nil {
			return fmt.Errorf("retiring from %s: %w", what.repository, err)
		}
		switch {
		case !retired:
			done.Changed++
			return nil
		case v.Tag != "":
			done.Tags++
		default:
			done.Manifests++
		}
	}
	return nil
}

func (r *Retention) retire(ctx context.Context, repo oci.Repository, v Verdict) (bool, error) {
	if v.Tag != "" {
		return r.Retirer.RetireTag(ctx, repo, v.tag)
	}
	return r.Retirer.RetireManifest(ctx, repo, v.manifest)
}
