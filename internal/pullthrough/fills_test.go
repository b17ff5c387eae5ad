package pullthrough_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

var (
	half1 = []byte(strings.Repeat("first half ", 1000))
	half2 = []byte(strings.Repeat("second half ", 1000))
	whole = append(append([]byte{}, half1...), half2...)
)

func TestReadersSeeAllButTheLastByteBeforeVerification(t *testing.T) {
	for name, chunked := range map[string]bool{"of known size": false, "of unknown size": true} {
		t.Run(name, func(t *testing.T) {
			last := len(whole) - 1
			g := &gate{digest: digest.FromBytes(whole), chunked: chunked, parts: [][]byte{whole[:last], whole[last:]}}
			if chunked { // everything has come, but not the word that it is everything
				g.parts = [][]byte{whole}
			}
			b := newBench(t)
			cache := b.open("plain", g.start(t), nil)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var work sync.WaitGroup
			defer work.Wait()
			work.Go(func() { g.next(); g.next() })
			reader, _, err := cache.Blob(ctx, alice, "plain/acme/app", g.digest)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			if _, err := io.ReadFull(reader, make([]byte, last)); err != nil {
				t.Fatalf("reading all but the last byte: %v", err)
			}
			leave() // a reader that waits notices, one that could read would go on
			if n, err := reader.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("the last byte was given before the blob was verified: %d, %v", n, err)
			}
		})
	}
}

func TestAWrongDigestEndsEveryReaderAndTheNextAskerBeginsAnew(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half1}}
	b, repo, ask := gated(t, g)
	var work sync.WaitGroup
	work.Go(g.next)
	for range 8 {
		reader, _, err := ask(alice, repo)
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer func() { _ = reader.Close() }()
			got, err := io.ReadAll(reader)
			if _, mismatch := errors.AsType[*blob.MismatchError](err); !mismatch || len(got) >= 2*len(half1) {
				t.Errorf("a reader got %d bytes and %v", len(got), err)
			}
			if err := reader.Verified(t.Context()); err == nil {
				t.Error("a wrong blob was verified")
			}
		})
	}
	g.next()
	g.next()
	work.Wait()
	if _, err := b.db.Blobs.Held(t.Context(), g.digest); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("a wrong blob was kept: %v", err)
	}
	eventually(t, "the log tells of it", func() bool { return strings.Contains(b.log.String(), "a blob transfer failed") })
	g.parts = [][]byte{half1, half2}
	g.open()
	reader, _, err := ask(alice, repo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if got, err := io.ReadAll(reader); err != nil || digest.FromBytes(got) != g.digest {
		t.Errorf("the next asker got %d bytes, %v", len(got), err)
	}
}

func TestALateJoinerReadsFromTheBeginning(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	_, repo, ask := gated(t, g)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { g.next(); g.next() })
	first, served, err := ask(alice, repo)
	if err != nil || !served.Cache.Stored {
		t.Fatalf("%v, %v", served.Cache, err)
	}
	defer func() { _ = first.Close() }()
	if _, err := io.ReadFull(first, make([]byte, len(half1))); err != nil {
		t.Fatal(err)
	}
	late, served, err := ask(alice, repo)
	if err != nil || !served.Cache.Collapsed || late.Size() != int64(len(whole)) {
		t.Fatalf("%v, %v", served.Cache, err)
	}
	defer func() { _ = late.Close() }()
	g.open()
	if got, err := io.ReadAll(late); err != nil || digest.FromBytes(got) != g.digest {
		t.Errorf("the late joiner got %d bytes, %v", len(got), err)
	}
	if n := g.gets.Load(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

func TestTheTransferGoesOnWhoeverLeavesAndWhenever(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	b := newBench(t)
	cache := b.open("plain", g.start(t), nil)
	ctx, leave := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if _, _, err := cache.Blob(ctx, alice, "plain/acme/app", g.digest); !errors.Is(err, context.Canceled) {
			t.Errorf("who left before the upstream answered got %v", err)
		}
	})
	eventually(t, "the upstream is asked", func() bool { return g.gets.Load() == 1 })
	leave()
	work.Wait()
	g.open()
	eventually(t, "the blob is stored", func() bool {
		_, err := b.db.Blobs.Get(t.Context(), "plain/acme/app", g.digest)
		return err == nil
	})
	if n := g.gets.Load(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

func TestManyWhoComeAndGoLeaveNothingBehind(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{BlobBandwidth: 6 << 20})
	layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0].Digest
	var work sync.WaitGroup
	for range 60 {
		work.Go(func() {
			ctx, leave := context.WithTimeout(t.Context(), rand.N(600*time.Millisecond))
			defer leave()
			if got, err := read(ctx, cache, alice, nginx, layer); err == nil && digest.FromBytes(got) != layer {
				t.Error("a reader got other bytes")
			}
		})
	}
	work.Wait()
	if got, err := read(t.Context(), cache, alice, nginx, layer); err != nil || digest.FromBytes(got) != layer {
		t.Fatalf("who stayed got %d bytes, %v", len(got), err)
	}
	eventually(t, "the spool is gone", func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "spool"))
		return err == nil && len(left) == 0
	})
	if n := seen(hub, http.MethodGet, "cdn/"+layer.String()); n != 1 {
		t.Errorf("%d transfers: %v\n%s", n, hub.Requests(), b.log)
	}
}

func TestEveryWaiterGetsTheError(t *testing.T) {
	_, hub, cache := docker(t, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", small(1)).Manifests[0].Layers[0].Digest
	hub.Break(hubsim.Fault{Kind: hubsim.Slow, Path: hubsim.BlobPath, Delay: 200 * time.Millisecond, Times: 1})
	hub.Delete("library/nginx") // the request waits and then finds nothing
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if _, err := read(t.Context(), cache, alice, nginx, layer); oci.CodeOf(err) != oci.CodeBlobUnknown {
				t.Errorf("a waiter got %v", err)
			}
		})
	}
	work.Wait()
	if n := seen(hub, http.MethodGet, "/v2/library/nginx/blobs/"+layer.String()); n > 2 { // without a token and with one
		t.Errorf("the Hub was asked more than once: %v", hub.Requests())
	}
}

func TestABlobThatIsHeldAlreadyIsNoFailedTransfer(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", small(1)).Manifests[0].Layers[0].Digest
	hub.AddImage("library/redis", "latest", small(1))
	for _, repo := range []oci.Repository{nginx, redis} {
		if _, err := read(t.Context(), cache, alice, repo, layer); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the blob is held", func() bool { _, err := b.db.Blobs.Get(t.Context(), string(repo), layer); return err == nil })
	}
	b.fills.Close()
	families, err := b.to.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "larder_fills_total" && (len(family.GetMetric()) != 1 || family.GetMetric()[0].GetCounter().GetValue() != 1) {
			t.Errorf("counted: %v", family)
		}
	}
}

// unkeeping is a store that fails when a spool is to be kept.
type unkeeping struct{ blob.Store }

func (s unkeeping) Spool(ctx context.Context, alg digest.Algorithm) (blob.Spool, error) {
	spool, err := s.Store.Spool(ctx, alg)
	return unkept{spool}, err
}

type unkept struct{ blob.Spool }

func (unkept) Commit(context.Context, digest.Digest) (string, error) {
	return "", errors.New("the disk is full")
}

func TestAVerifiedBlobIsServedWholeThoughItCannotBeKept(t *testing.T) {
	b := newBenchOn(t, func(files blob.Store) blob.Store { return unkeeping{files} })
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	cache := b.open("plain", g.start(t), nil)
	g.open()
	if got, err := read(t.Context(), cache, alice, "plain/acme/app", g.digest); err != nil || digest.FromBytes(got) != g.digest {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	eventually(t, "the log tells of it", func() bool { return strings.Contains(b.log.String(), "the disk is full") })
	eventually(t, "the spool is gone", func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "spool"))
		return err == nil && len(left) == 0
	})
}

// forgetful is a store whose spools lose what was written to them.
type forgetful struct{ blob.Store }

func (s forgetful) Spool(ctx context.Context, alg digest.Algorithm) (blob.Spool, error) {
	spool, err := s.Store.Spool(ctx, alg)
	return lost{spool}, err
}

type lost struct{ blob.Spool }

func (lost) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

func TestASpoolThatLostItsBytesIsNoCleanEnd(t *testing.T) {
	b := newBenchOn(t, func(files blob.Store) blob.Store { return forgetful{files} })
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}, chunked: true}
	cache := b.open("plain", g.start(t), nil)
	g.open()
	if got, err := read(t.Context(), cache, alice, "plain/acme/app", g.digest); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestShutdownEndsReadersAndTakesNoFurtherAsker(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	b, repo, ask := gated(t, g)
	var work sync.WaitGroup
	work.Go(func() { g.next(); g.next() })
	reader, _, err := ask(alice, repo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	work.Wait()
	b.fills.Close()
	if _, err := io.ReadAll(reader); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("the reader got %v", err)
	}
	if _, _, err := ask(alice, repo); oci.CodeOf(err) != oci.CodeUnavailable || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("the next asker got %v", err)
	}
}

func TestAFillIsJoinedThroughAnotherRepositoryOnceThatShowsTheBlob(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}, hides: []string{"acme/other"}}
	b, repo, ask := gated(t, g)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { g.next(); g.next() })
	first, _, err := ask(alice, repo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	if _, _, err := ask(alice, "plain/acme/other"); oci.CodeOf(err) != oci.CodeBlobUnknown {
		t.Errorf("a repository that does not have it got %v", err)
	}
	for range 2 {
		joined, served, err := ask(alice, "plain/acme/copy")
		if err != nil || !served.Cache.Collapsed {
			t.Fatalf("%v, %v", served.Cache, err)
		}
		defer func() { _ = joined.Close() }()
	}
	g.open()
	for _, repo := range []string{"plain/acme/app", "plain/acme/copy"} {
		eventually(t, repo+" has it", func() bool { _, err := b.db.Blobs.Get(t.Context(), repo, g.digest); return err == nil })
	}
	if linked, err := b.db.Blobs.Linked(t.Context(), "plain/acme/other", g.digest); linked || err != nil {
		t.Errorf("it is linked where it was not shown: %v", err)
	}
	if gets, heads := g.gets.Load(), g.heads.Load(); gets != 1 || heads != 1 {
		t.Errorf("%d transfers and %d HEADs, want one of each", gets, heads)
	}
}
