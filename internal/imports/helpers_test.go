package imports_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	centos = oci.Repository("demo/centos")
	source = "docker.io/library/centos:7"
)

// bench is an importer over a real registry, with a simulated Docker Hub as docker.io.
type bench struct {
	t        *testing.T
	clock    *testkit.Clock
	db       *metadata.DB
	hosted   *registry.Registry
	hub      *hubsim.Hub
	importer *imports.Importer
	allows   func(string) bool
}

func newBench(t *testing.T, options hubsim.Options, credentials ...upstream.Credential) *bench {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	db, err := metadata.Open(t.Context(), filepath.Join(dir, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	files, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, clock: testkit.NewClock(time.Now()), db: db}
	b.hosted = registry.New(registry.Config{DB: db, Blobs: files, Log: log, Now: b.clock.Now})
	t.Cleanup(b.hosted.Close)
	options.Clock, options.TokensOnRegistry = b.clock.Now, true
	if b.hub, err = hubsim.Start(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.hub.Close)
	u, err := url.Parse(b.hub.URL())
	if err != nil {
		t.Fatal(err)
	}
	remote, err := upstream.New(upstream.Config{Name: "docker-hub", URL: u, Hub: true, Credentials: credentials, Now: b.clock.Now},
		upstream.NewMetrics(prometheus.NewRegistry()), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remote.Close)
	for name, kind := range map[string]metadata.Kind{"demo": metadata.Hosted, "docker-hub": metadata.Cache} {
		if err := db.Projects.Ensure(t.Context(), metadata.Project{Name: name, Kind: kind, CreatedAt: b.clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	b.importer = imports.New(imports.Config{
		Imports: db.Imports, Leases: db.Leases, Hosted: b.hosted, Now: b.clock.Now, Log: log,
		Member: func(context.Context, string, string) (bool, error) { return false, errors.New("nobody is asked about") },
		Source: func(host string) (imports.Source, error) {
			if host != "docker.io" {
				return imports.Source{}, errors.New("no such host")
			}
			return imports.Source{Remote: remote, Project: "docker-hub", Allows: b.allows, Close: func() {}}, nil
		},
	})
	return b
}

// wanted is an import of demo/centos:7.
func wanted(scheduled bool) metadata.Import {
	return metadata.Import{Repository: centos.String(), Tag: "7", Source: source, Scheduled: scheduled, Creator: "alice"}
}

func (b *bench) run(i metadata.Import) metadata.Import {
	b.t.Helper()
	done, err := b.importer.Import(b.t.Context(), i)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// follow lets the time pass until scheduled imports are due, and tries them.
func (b *bench) follow() {
	b.t.Helper()
	b.clock.Pass(imports.Every + time.Second)
	if err := b.importer.Follow(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// kept is the import of demo/centos:7 as the database has it.
func (b *bench) kept() metadata.Import {
	b.t.Helper()
	all, err := b.db.Imports.Of(b.t.Context(), centos.String())
	if err != nil || len(all) != 1 {
		b.t.Fatalf("%d imports are kept (%v), want one", len(all), err)
	}
	return all[0]
}

// names is what demo/centos:7 names.
func (b *bench) names() digest.Digest {
	b.t.Helper()
	d, _, err := b.hosted.StatManifest(b.t.Context(), oci.Caller{}, centos, oci.Reference{Tag: "7"})
	if err != nil && oci.CodeOf(err) != oci.CodeManifestUnknown && oci.CodeOf(err) != oci.CodeNameUnknown {
		b.t.Fatal(err)
	}
	return d.Digest
}

// holds fails the test unless an image is in demo/centos with all its parts.
func (b *bench) holds(image hubsim.Pushed) {
	b.t.Helper()
	for _, m := range image.Manifests {
		if _, _, err := b.hosted.StatManifest(b.t.Context(), oci.Caller{}, centos, oci.Reference{Digest: m.Digest}); err != nil {
			b.t.Error(err)
		}
		for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
			if _, _, err := b.hosted.StatBlob(b.t.Context(), oci.Caller{}, centos, d.Digest); err != nil {
				b.t.Error(err)
			}
		}
	}
	got, _, err := b.hosted.Manifest(b.t.Context(), oci.Caller{}, centos, oci.Reference{Tag: "7"})
	if err != nil || string(got.Content) != string(image.Raw) {
		b.t.Errorf("the tag's manifest is\n%s\nand not\n%s (%v)", got.Content, image.Raw, err)
	}
}
