package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/oci"
)

func TestKilledConnectionsLoseNothingAcknowledged(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	db := openPostgres(t, databaseURL)
	admin := connected(t, databaseURL)
	pushThrough(t, db, 10, func() {
		admin.exec(t, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	})
}

func TestARestartOfPostgreSQLLosesNothingAcknowledged(t *testing.T) {
	for name, crash := range map[string]bool{"in good order": false, "after a crash": true} {
		t.Run(name, func(t *testing.T) {
			pg := postgreSQL(t)
			pushThrough(t, openPostgres(t, pg.Database(t)), 2, func() { pg.Restart(t, crash) })
		})
	}
}

// pusher pushes manifests one after the other and keeps account of them.
type pusher struct {
	db      *metadata.DB
	name    string
	stored  []digest.Digest // acknowledged
	doubted []digest.Digest // not acknowledged
	// unexpected are errors that nobody should see, whatever happens to the database.
	unexpected error
}

// push sends each acknowledged manifest to progress until ctx ends.
func (p *pusher) push(ctx context.Context, progress chan<- struct{}) {
	for i := 0; ctx.Err() == nil && p.unexpected == nil; i++ {
		m := manifest(fmt.Sprintf("%s-%d", p.name, i))
		// What ctx ends is the loop: a call that it ended would be no fault's doing.
		err := p.db.Manifests.Put(context.WithoutCancel(ctx), metadata.PutManifest{
			Repository: "demo/app", Manifest: m, Tags: []string{tag(m.Digest), "latest"},
		})
		if err != nil {
			p.doubted = append(p.doubted, m.Digest)
			if strings.Contains(err.Error(), metadatatest.PostgreSQLPassword) {
				p.unexpected = fmt.Errorf("an error has the password in it: %w", err)
			}
			continue
		}
		p.stored = append(p.stored, m.Digest)
		if err := p.read(context.WithoutCancel(ctx), m.Digest); err != nil {
			p.unexpected = fmt.Errorf("reading an acknowledged push: %w", err)
		}
		select {
		case progress <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// read reads a manifest, however long the server is away: on a busy machine a restart may
// take longer than a read is tried again.
func (p *pusher) read(ctx context.Context, d digest.Digest) error {
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := p.db.Manifests.Get(ctx, "demo/app", d)
		if err == nil || !strings.Contains(err.Error(), "trying again for") || time.Now().After(deadline) {
			return err
		}
	}
}

// pushThrough has pushers at work while a fault happens again and again, and looks at
// what they left.
func pushThrough(t *testing.T, db *metadata.DB, faults int, fault func()) {
	t.Helper()
	const pushersAtOnce, pushesBetween = 8, 25
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	progress := make(chan struct{})
	var (
		pushers [pushersAtOnce]pusher
		working sync.WaitGroup
	)
	for i := range pushers {
		pushers[i] = pusher{db: db, name: fmt.Sprint(i)}
		working.Go(func() { pushers[i].push(ctx, progress) })
	}
	idle := make(chan struct{})
	go func() { working.Wait(); close(idle) }()
	advance := func() {
		for range pushesBetween {
			select {
			case <-progress:
			case <-idle:
				return // every pusher has met something unexpected
			}
		}
	}
	advance()
	for range faults {
		fault()
		advance()
	}
	stop()
	<-idle
	var doubted int
	for _, p := range pushers {
		doubted += len(p.doubted)
		p.verify(t)
	}
	t.Logf("%d pushes were not acknowledged", doubted)
}

// verify finds everything acknowledged, and everything else whole or not at all.
func (p *pusher) verify(t *testing.T) {
	t.Helper()
	if p.unexpected != nil {
		t.Error(p.unexpected)
	}
	for _, d := range p.stored {
		m, _, err := p.db.Manifests.GetByTag(t.Context(), "demo/app", tag(d))
		if err != nil || digest.FromBytes(m.Content) != d {
			t.Errorf("an acknowledged push is not there: %v, content %q", err, m.Content)
		}
	}
	for _, d := range p.doubted {
		_, tagErr := p.db.Tags.Get(t.Context(), "demo/app", tag(d))
		_, manifestErr := p.db.Manifests.Get(t.Context(), "demo/app", d)
		if errors.Is(tagErr, metadata.ErrNotFound) != errors.Is(manifestErr, metadata.ErrNotFound) {
			t.Errorf("half of a push is there: of its tag %v, of its manifest %v", tagErr, manifestErr)
		}
	}
}

func manifest(text string) metadata.Manifest {
	content := []byte(text)
	return metadata.Manifest{Manifest: oci.Manifest{MediaType: "text/plain", Digest: digest.FromBytes(content), Content: content}}
}

func tag(d digest.Digest) string { return d.Encoded() }
