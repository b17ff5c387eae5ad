package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// allowance is how many bytes a project may still take: what a push is held to before
// its blob is stored. It is advice, which spares a client the sending and the disk the
// bytes. What holds is asked in the transaction that links the blob: however many pushes
// run at once, the blobs of a project never take more than its quota, to the byte.
// Manifests, which are small, and unfinished uploads are not counted, and neither is
// what a cache project holds.
type allowance struct {
	project string
	quota   int64 // 0: no limit
	used    int64
}

// allowanceFor reads the allowance of a repository's project for a blob whose digest is
// d, or "" where that is not known yet. A blob that the project has already takes
// nothing.
func (r *Registry) allowanceFor(ctx context.Context, repo oci.Repository, d digest.Digest) (allowance, error) {
	project, err := r.db.Projects.Get(ctx, repo.Project())
	if errors.Is(err, metadata.ErrNotFound) || err == nil && (project.Quota == 0 || project.Kind != metadata.Hosted) {
		return allowance{}, nil
	}
	holds := false
	if err == nil && d != "" {
		holds, err = r.db.Projects.HoldsBlob(ctx, project.Name, d)
	}
	a := allowance{project: project.Name, quota: project.Quota}
	if err == nil && !holds {
		a.used, err = r.db.Projects.Used(ctx, project.Name)
	}
	if err != nil {
		return allowance{}, fmt.Errorf("reading the quota of project %s: %w", repo.Project(), err)
	}
	if holds {
		return allowance{}, nil
	}
	return a, nil
}

// refuse returns DENIED when so many bytes more are too many, or, with atLeast, the part
// of a body that is known.
func (a allowance) refuse(bytes int64, atLeast bool) error {
	if a.quota == 0 || bytes <= a.quota-a.used {
		return nil
	}
	return overQuota(a.project, a.quota, a.used+bytes, atLeast, nil)
}

func overQuota(project string, quota, would int64, atLeast bool, cause error) error {
	least := ""
	if atLeast {
		least = "at least "
	}
	return &oci.Error{
		Code: oci.CodeDenied, Err: cause,
		Message: fmt.Sprintf("project %s would take %s%s with this push, and its quota is %s: delete images that are not needed, or have an administrator raise the quota with larder set quota %s SIZE",
			project, least, oci.Bytes(would), oci.Bytes(quota), project),
		Detail: map[string]int64{"quota": quota, "wouldTake": would},
	}
}

// check refuses to begin a body that is known to be too long.
func (a allowance) check(have int64, body io.Reader) error {
	left, known := remaining(body)
	return a.refuse(have+left, !known)
}

// metered is a body that ends with DENIED where the project has no room for more of it.
type metered struct {
	io.Reader
	allowance
	have int64 // bytes of the upload so far
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.have += int64(n)
	if refusal := m.refuse(m.have, true); refusal != nil {
		return 0, refusal
	}
	return n, err
}

// checkManifestQuota refuses further manifests in a project that takes more than its
// quota, as one does whose quota was lowered.
func (r *Registry) checkManifestQuota(ctx context.Context, repo oci.Repository) error {
	a, err := r.allowanceFor(ctx, repo, "")
	if err != nil {
		return err
	}
	return a.refuse(0, false)
}
