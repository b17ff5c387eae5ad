package metadata

import (
	"context"
	"time"
)

// Upload is an upload session of a blob (OCI Distribution 1.1, §Pushing blobs).
type Upload struct {
	ID         string
	Repository string // need not exist yet
	Offset     int64  // bytes received
	State      []byte // by which the blob store resumes it; nil before the first byte
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Uploads keeps the upload sessions that are not finished.
type Uploads struct{ store *store }

const uploadColumns = "id, repository, byte_offset, state, created_at, updated_at"

// Create adds an upload session; ErrExists when there is one with that ID.
func (us *Uploads) Create(ctx context.Context, u Upload) error {
	changed, err := us.store.change(ctx, `
		INSERT INTO uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO NOTHING`,
		u.ID, u.Repository, u.Offset, u.State, stamp{u.CreatedAt}, stamp{u.UpdatedAt})
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "creating upload %s of %s", u.ID, u.Repository)
	}
	return nil
}

// Get finds an upload session of a repository.
func (us *Uploads) Get(ctx context.Context, repository, id string) (Upload, error) {
	u, err := one(ctx, us.store, scanUpload, `
		SELECT `+uploadColumns+` FROM uploads WHERE id = $2 AND repository = $1`, repository, id)
	if err != nil {
		return Upload{}, failed(err, "reading upload %s of %s", id, repository)
	}
	return u, nil
}

// Save writes an upload session's Offset, State and UpdatedAt.
func (us *Uploads) Save(ctx context.Context, u Upload) error {
	err := oneChanged(us.store.change(ctx, `
		UPDATE uploads SET byte_offset = $3, state = $4, updated_at = $5 WHERE id = $2 AND repository = $1`,
		u.Repository, u.ID, u.Offset, u.State, stamp{u.UpdatedAt}))
	if err != nil {
		return failed(err, "saving upload %s of %s", u.ID, u.Repository)
	}
	return nil
}

// Delete removes an upload session. One that is not there is no error.
func (us *Uploads) Delete(ctx context.Context, id string) error {
	if _, err := us.store.change(ctx, "DELETE FROM uploads WHERE id = $1", id); err != nil {
		return failed(err, "deleting upload %s", id)
	}
	return nil
}

// OlderThan tells at most limit upload sessions that were last saved before a time,
// the oldest first.
func (us *Uploads) OlderThan(ctx context.Context, before time.Time, limit int) ([]Upload, error) {
	all, err := list(ctx, us.store, scanUpload, `
		SELECT `+uploadColumns+` FROM uploads WHERE updated_at < $1 ORDER BY updated_at, id LIMIT $2`, stamp{before}, limit)
	if err != nil {
		return nil, failed(err, "listing old uploads")
	}
	return all, nil
}

func scanUpload(r row) (Upload, error) {
	var u Upload
	err := r.Scan(&u.ID, &u.Repository, &u.Offset, &u.State, scanStamp{&u.CreatedAt}, scanStamp{&u.UpdatedAt})
	return u, err
}
