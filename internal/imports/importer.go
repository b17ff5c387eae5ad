// Package imports takes images from other registries into hosted repositories, once or
// again and again. Bytes and digests stay as they are, with all platforms.
package imports

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// limit bounds one import as a whole.
	limit = time.Hour
	// leaseLife is how long others keep off a tag whose importer has died.
	leaseLife = time.Minute
)

// ErrBusy says that the tag is being imported already.
var ErrBusy = errors.New("this tag is being imported already: wait for that to end")

// Remote reads from one other registry. *upstream.Registry is one.
type Remote interface {
	StatManifest(ctx context.Context, as upstream.Asker, repo, ref string) (oci.Descriptor, error)
	Manifest(ctx context.Context, as upstream.Asker, repo, ref string) (oci.Manifest, error)
	Blob(ctx context.Context, as upstream.Asker, repo string, d digest.Digest, offset int64) (*upstream.Body, error)
}

// Source is where the images of one host are read.
type Source struct {
	Remote
	// Project is the cache project of the same registry, whose blobs are not fetched
	// again; empty for none.
	Project string
	// Allows tells whether a repository may be fetched; nil allows all.
	Allows func(repository string) bool
	// Owns tells whether a project has credentials of its own there, and Shares whether it
	// has a reserve or a budget; nil: none has.
	Owns, Shares func(project string) bool
	// Close is called when the import is done.
	Close func()
}

// Hosted stores images. *registry.Registry does.
type Hosted interface {
	StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error)
	StatBlob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error)
	MountBlob(ctx context.Context, repo, from oci.Repository, d digest.Digest) error
	PutManifest(ctx context.Context, repo oci.Repository, push registry.ManifestPush) (registry.ManifestReceipt, error)
	putter
}

// Config is what an Importer stands on.
type Config struct {
	Imports *metadata.Imports
	Leases  *metadata.Leases
	Hosted  Hosted
	// Source finds where to read the images of a host, such as docker.io.
	Source func(host string) (Source, error)
	// Member tells whether a user may use a project's own credentials for imports at this
	// moment; see authz.ImportsAsMember.
	Member func(ctx context.Context, user, project string) (bool, error)
	// Pause is how often it is looked which imports are due; 0: once a minute.
	Pause time.Duration
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger
}

// Importer imports images. It is safe for concurrent use.
type Importer struct{ Config }

// New makes an Importer.
func New(c Config) *Importer {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == 0 {
		c.Pause = pause
	}
	return &Importer{c}
}

// Import keeps an import of a tag and tries it. That it fails is no error: the import
// that is returned has the reason. ErrBusy says that the tag is being imported by
// somebody else, metadata.ErrNotFound that there is no such project.
func (i *Importer) Import(ctx context.Context, wanted metadata.Import) (metadata.Import, error) {
	wanted.CreatedAt = i.Now().UTC().Truncate(time.Microsecond)
	err := i.alone(ctx, wanted, func(ctx context.Context) error {
		if err := i.Imports.Set(ctx, wanted); err != nil {
			return err
		}
		var err error
		wanted, err = i.try(ctx, wanted, true)
		return err
	})
	return wanted, err
}

// alone runs fn while nobody else imports the same tag.
func (i *Importer) alone(ctx context.Context, row metadata.Import, fn func(context.Context) error) error {
	lease := metadata.Lease{Name: "import " + row.Repository + ":" + row.Tag, Holder: rand.Text()}
	err := i.Leases.Hold(ctx, lease, leaseLife, fn)
	if errors.Is(err, metadata.ErrLeased) {
		return ErrBusy
	}
	return err
}

// try imports a tag and remembers how that went. Anew sets the tag also when the source
// has not moved.
func (i *Importer) try(ctx context.Context, row metadata.Import, anew bool) (metadata.Import, error) {
	trying, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	how, got, set, err := i.follow(trying, row, anew)
	if err != nil && ctx.Err() != nil {
		return row, ctx.Err() // the program or the client ends: that says nothing of the source
	}
	row.CheckedAt = i.Now().UTC().Truncate(time.Microsecond)
	row.Reason, row.Message = explain(row, how, err)
	if set {
		row.Digest, row.ImportedAt = got, row.CheckedAt
	}
	if err != nil {
		i.Log.Warn("an import failed", "repository", row.Repository, "tag", row.Tag, "source", row.Source, "reason", row.Reason, "error", err)
	}
	if err := i.Imports.Tried(ctx, row); err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return row, err
	}
	return row, nil
}

// follow asks the source what the image is, by HEAD, which no registry counts as a pull,
// and takes it where it is new.
func (i *Importer) follow(ctx context.Context, row metadata.Import, anew bool) (how standing, _ digest.Digest, set bool, err error) {
	image, err := ParseImage(row.Source)
	if err != nil {
		return how, "", false, err
	}
	source, err := i.Source(image.Host)
	if err != nil {
		return how, "", false, err
	}
	defer source.Close()
	if source.Allows != nil && !source.Allows(image.Repository) {
		return how, "", false, &oci.Error{Code: oci.CodeDenied, Message: fmt.Sprintf("%s may not be fetched from upstream %s: its operator can allow it", image.Repository, source.Project)}
	}
	repo, err := oci.ParseRepository(row.Repository)
	if err != nil {
		return how, "", false, err
	}
	if how, err = i.stand(ctx, source, row, anew); err != nil {
		return how, "", false, err
	}
	t := &transfer{Importer: i, source: source, image: image, as: how.asker(row, anew), to: repo, actor: row.Creator}
	head, err := t.head(ctx)
	if err != nil {
		return how, "", false, err
	}
	if head.Digest != "" && head.Digest == row.Digest && !anew {
		return how, head.Digest, false, nil
	}
	got, err := t.take(ctx, row.Tag)
	return how, got, err == nil, err
}
