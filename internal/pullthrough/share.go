package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/upstream"
)

// share brings the blob on one replica: on this one, if it can take the lead, else from
// the one that has it. When that one dies, its lead falls to another, which goes on from
// what it has received; readers only notice a pause.
func (f *fill) share(ctx context.Context) error {
	at, since := f.writtenBytes(), time.Now()
	for pause := firstPeerPause; ; pause = min(2*pause, longestPeerPause) {
		release, failure := f.fills.peers.Lead(ctx, FillWork(f.digest))
		if failure == nil {
			f.setLead(release)
		}
		if err := f.fromStorage(ctx); !errors.Is(err, metadata.ErrNotFound) {
			return err
		}
		if !errors.Is(failure, ErrLed) {
			return f.fetch(ctx)
		}
		err := f.follow(ctx)
		if err == nil || !resumable(err) {
			return err
		}
		if now := f.writtenBytes(); now > at {
			at, since, pause = now, time.Now(), firstPeerPause
		}
		if time.Since(since) > peerPatience {
			f.fills.log.Warn("another replica transfers a blob and cannot be followed; it is transferred here too", "digest", f.digest, "error", err)
			f.holdParts(false)
			return f.fetch(ctx)
		}
		if err := sleep.For(ctx, pause); err != nil {
			return err
		}
	}
}

// follow receives what the leading replica does, once the source has shown the blob:
// that somebody may have it elsewhere opens it to nobody here.
func (f *fill) follow(ctx context.Context) error {
	if !f.confirmed {
		if _, err := f.source.cache.confirmBlob(ctx, f.payer, f.source.repository, f.digest); err != nil {
			return fmt.Errorf("%w: %w", errUnconfirmed, err)
		}
		f.confirmed = true
	}
	body, err := f.fills.peers.Follow(ctx, f.digest, f.writtenBytes())
	if err != nil {
		return err
	}
	return f.receiveAside(ctx, body)
}

// fromStorage receives the rest of a blob that has come to be held. The error is
// metadata.ErrNotFound when it is not, and errHeld when readers can do without the fill.
func (f *fill) fromStorage(ctx context.Context) error {
	row, err := f.fills.db.Blobs.Held(ctx, f.digest)
	if err != nil {
		return err
	}
	if !f.hasBegun() {
		return errHeld
	}
	content, err := f.fills.blobs.Open(ctx, row.Key)
	if err == nil {
		body := &upstream.Body{ReadCloser: content, Offset: f.writtenBytes(), Size: row.Size}
		if _, err = content.Seek(body.Offset, io.SeekStart); err == nil {
			err = f.receiveAside(ctx, body)
		}
	}
	if err != nil && resumable(err) {
		f.fills.log.Warn("the rest of a blob could not be read from storage and is transferred", "digest", f.digest, "error", err)
		return metadata.ErrNotFound
	}
	return err
}

// receiveAside appends a body that costs no upstream a transfer, and closes it.
func (f *fill) receiveAside(ctx context.Context, body *upstream.Body) error {
	f.aside = true
	defer func() {
		f.aside = false
		_ = body.Close()
	}()
	if !f.hasBegun() {
		if err := f.open(ctx, body.Size); err != nil {
			return err
		}
	}
	return f.drain(ctx, body, make([]byte, copyBuffer))
}

// elsewhere waits until the leading replica has stored the blob, and links it to every
// repository that showed it. It is false when storing falls to this replica.
func (f *fill) elsewhere(ctx context.Context) (stored bool, err error) {
	began := time.Now()
	for pause := firstPeerPause; ; pause = min(2*pause, longestPeerPause) {
		release, failure := f.fills.peers.Lead(ctx, FillWork(f.digest))
		if failure == nil {
			f.setLead(release)
		}
		_, err := f.fills.db.Blobs.Held(ctx, f.digest)
		if err == nil {
			f.linkAll()
			return true, f.spool.Cancel(ctx)
		}
		if !errors.Is(err, metadata.ErrNotFound) {
			return false, err
		}
		if !errors.Is(failure, ErrLed) || time.Since(began) > peerPatience {
			return false, nil
		}
		if err := sleep.For(f.fills.life, pause); err != nil {
			return true, f.spool.Cancel(ctx) // the other replica's is enough
		}
	}
}

// linkAll links a blob that is stored to every repository that showed it.
func (f *fill) linkAll() {
	f.mu.Lock()
	f.stored = true
	f.mu.Unlock()
	for _, repo := range f.linked() {
		f.linkNow(repo)
	}
}

// holder is a spool that can be told not to send what it has to its storage yet.
type holder interface{ Hold(held bool) }

// holdParts spares the storage the bytes that another replica is storing.
func (f *fill) holdParts(held bool) {
	if spool, ok := f.spool.(holder); ok {
		spool.Hold(held)
	}
}

// setLead is called when the transfer has become this replica's.
func (f *fill) setLead(release func()) {
	f.mu.Lock()
	f.lead = release
	f.mu.Unlock()
	f.holdParts(false)
}

func (f *fill) leads() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lead != nil
}

// giveUpLead lets other replicas see that there is nothing to be followed any more.
func (f *fill) giveUpLead() {
	f.mu.Lock()
	lead := f.lead
	f.mu.Unlock()
	if lead != nil {
		lead()
	}
}

// errUnconfirmed says that the source does not show a blob that another replica
// transfers.
var errUnconfirmed = errors.New("the repository does not show the blob")
