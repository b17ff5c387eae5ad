package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/testkit"
)

// shelf is a PullStore that can fail.
type shelf struct {
	mu     sync.Mutex
	writes int
	images int64
	last   map[string]time.Time
	broken error
}

func (s *shelf) Pulled(_ context.Context, pulls []metadata.Pull) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	s.writes++
	for _, p := range pulls {
		s.last[p.Repository+"@"+p.Digest.String()] = p.At
		s.images += p.Images
	}
	return nil
}

func (s *shelf) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func (s *shelf) holds(t *testing.T, writes int, want map[string]time.Time) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.last); diff != "" {
		t.Fatalf("pulls written (-want +got):\n%s", diff)
	}
	if s.writes != writes {
		t.Fatalf("they were written in %d transactions, want %d", s.writes, writes)
	}
}

// gathering runs in a bubble of its own time until end is called.
func gathering(log *testkit.Buffer) (p *Pulls, s *shelf, end func()) {
	s = &shelf{last: map[string]time.Time{}}
	p = NewPulls(s, nil, slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { p.Run(ctx) })
	return p, s, func() { cancel(); work.Wait() }
}

const (
	demo = oci.Repository("demo/app")
	one  = digest.Digest("sha256:one")
	two  = digest.Digest("sha256:two")
)

func image(d digest.Digest) oci.Manifest {
	return oci.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: d}
}

func TestImagesThatArePulledAreCountedAndIndexesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, end := gathering(&testkit.Buffer{})
		s.breakWith(errors.New("no disk"))
		for range 3 {
			p.Pulled(demo, oci.Manifest{MediaType: v1.MediaTypeImageIndex, Digest: two})
			p.Pulled(demo, image(one))
		}
		time.Sleep(pullsEvery + time.Second)
		s.breakWith(nil)
		p.Pulled(demo, image(one))
		end()
		if s.images != 4 {
			t.Errorf("%d images were counted, want 4", s.images)
		}
	})
}

func TestPullsAreWrittenEveryFewSecondsAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, end := gathering(&testkit.Buffer{})
		began := time.Now()
		p.Pulled(demo, image(one))
		time.Sleep(time.Second)
		p.Pulled(demo, image(one))
		s.holds(t, 0, map[string]time.Time{})
		time.Sleep(pullsEvery)
		s.holds(t, 1, map[string]time.Time{"demo/app@sha256:one": began.Add(time.Second)})
		time.Sleep(pullsEvery)
		s.holds(t, 1, map[string]time.Time{"demo/app@sha256:one": began.Add(time.Second)})
		p.Pulled(demo, image(two))
		end()
		s.holds(t, 2, map[string]time.Time{
			"demo/app@sha256:one": began.Add(time.Second),
			"demo/app@sha256:two": began.Add(time.Second + 2*pullsEvery),
		})
	})
}

func TestPullsThatCannotBeWrittenAreWrittenLaterAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Buffer{}
		p, s, end := gathering(log)
		defer end()
		began := time.Now()
		s.breakWith(errors.New("no disk"))
		p.Pulled(demo, image(one))
		p.Pulled(demo, image(two))
		time.Sleep(3*pullsEvery + time.Second)
		p.Pulled(demo, image(two))
		s.breakWith(nil)
		time.Sleep(pullsEvery)
		s.holds(t, 1, map[string]time.Time{
			"demo/app@sha256:one": began,
			"demo/app@sha256:two": began.Add(3*pullsEvery + time.Second),
		})
		if got := strings.Count(log.String(), "no disk"); got != 1 {
			t.Errorf("the log speaks of it %d times:\n%s", got, log)
		}
	})
}

func TestManyPullsAreWrittenInBoundedTransactionsAndTheirNumberIsBounded(t *testing.T) {
	s := &shelf{last: map[string]time.Time{}}
	p := NewPulls(s, nil, slog.New(slog.DiscardHandler))
	for i := range maxPulls + 5 {
		p.Pulled(demo, image(digest.Digest(fmt.Sprint(i))))
	}
	p.Pulled(demo, image("0"))
	if err := p.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.last) != maxPulls || s.writes != maxPulls/pullsAtOnce {
		t.Errorf("%d pulls were written in %d transactions", len(s.last), s.writes)
	}
}

// BenchmarkAPullIsNoted is what gathering adds to a warm manifest.
func BenchmarkAPullIsNoted(b *testing.B) {
	p := NewPulls(&shelf{}, nil, slog.New(slog.DiscardHandler))
	d := digest.FromString("manifest")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Pulled(demo, image(d))
		}
	})
}
