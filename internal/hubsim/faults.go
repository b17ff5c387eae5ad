package hubsim

import (
	"slices"
	"sync"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind int

// The kinds of faults. Those on content (Stalled, CutAfter, FlipByte and
// ShortBody) befall only successful answers to GET, so they let challenges and
// redirects pass; on BlobPath they strike wherever the bytes come from, the
// CDN included. All others strike at the request.
const (
	// Down refuses connections, and drops those that are open, when nothing
	// but a Service narrows the fault; else it drops the connection (of
	// HTTP/2: the stream) without an answer.
	Down FaultKind = iota + 1
	// Status500, Status502 and Status503 answer so, with a page for people.
	Status500
	Status502
	Status503
	// Unauthorized401 challenges with error="invalid_token"; the token service
	// calls the password wrong.
	Unauthorized401
	// Forbidden403 answers DENIED.
	Forbidden403
	// NotFound404 answers as for something that does not exist.
	NotFound404
	// Slow waits for Delay, then goes on as usual.
	Slow
	// StalledBeforeHeaders accepts the request and says nothing until the
	// client gives up or the fault ends, which drops the connection.
	StalledBeforeHeaders
	// Stalled does the same after the headers and Bytes bytes of the body.
	Stalled
	// CutAfter breaks the connection after Bytes bytes of the body. The
	// next request, with a Range or not, meets it anew unless Times is used up.
	CutAfter
	// FlipByte changes the byte at offset Bytes of the whole body; an answer
	// to a Range that does not cover it is sound.
	FlipByte
	// ShortBody announces and sends only Bytes bytes: a clean, wrong answer.
	ShortBody
	// IgnoreRange answers with everything when a range was asked for.
	IgnoreRange
	// BadCertificate shows an expired certificate (TLS only). Of the
	// conditions it heeds Service alone.
	BadCertificate
	// PullLimit429 is the answer at the end of the pull limit.
	PullLimit429
	// AbuseLimit429 is the plain answer of the limit on all requests.
	AbuseLimit429
	// Page200 answers with a page for people and 200, as captive portals do.
	Page200
)

func (k FaultKind) onContent() bool {
	return k == Stalled || k == CutAfter || k == FlipByte || k == ShortBody
}

// Fault says what goes wrong and when. Conditions that are left empty always
// hold.
type Fault struct {
	Kind FaultKind

	Service Service
	Method  string
	Path    PathKind
	// Repository holds for its manifests, blobs, tags and token scopes, and
	// for the blobs that it links on the CDN.
	Repository string
	// Reference is the tag or digest as it stands in the request.
	Reference string

	// After lets so many requests pass that would otherwise be struck, Times
	// bounds how many are struck then; 0 is no bound.
	After, Times int

	Delay time.Duration // of Slow
	Bytes int64         // of Stalled, CutAfter, FlipByte and ShortBody
}

// wholeOrigin reports whether the fault takes an origin from the network.
func (f Fault) wholeOrigin() bool {
	return f.Kind == Down && f == Fault{Kind: Down, Service: f.Service}
}

func (f Fault) matches(method string, t target) bool {
	switch {
	case f.Service != "" && f.Service != t.service,
		f.Method != "" && f.Method != method,
		f.Repository != "" && !slices.Contains(t.repositories, f.Repository),
		f.Reference != "" && f.Reference != t.reference:
		return false
	case f.Path == AnyPath, f.Path == t.path:
		return true
	default:
		return f.Kind.onContent() && f.Path == BlobPath && t.path == CDNPath
	}
}

// Break makes a fault happen until restore is called, or the Hub is closed.
// When several faults fit a request, the first to have come wins.
func (h *Hub) Break(f Fault) (restore func()) {
	var affected []*origin
	for _, o := range h.origins() {
		if f.Service == "" || f.Service == o.service {
			affected = append(affected, o)
		}
	}
	down, badCertificate := 0, 0
	switch {
	case f.wholeOrigin():
		down = 1
	case f.Kind == BadCertificate:
		badCertificate = 1
	default:
		affected = nil
	}
	active := h.faults.add(f)
	for _, o := range affected {
		o.disturb(down, badCertificate)
	}
	return sync.OnceFunc(func() {
		h.faults.remove(active)
		for _, o := range affected {
			o.disturb(-down, -badCertificate)
		}
	})
}

// RepositoryGone hides a repository, as if it had been deleted, until restore
// is called.
func (h *Hub) RepositoryGone(repository string) (restore func()) {
	h.store.hide(repository, 1)
	return sync.OnceFunc(func() { h.store.hide(repository, -1) })
}

// TagMoved makes a new image and points the tag at it, until restore points
// the tag back to where it was.
func (h *Hub) TagMoved(repository, tag string, image Image) (moved Pushed, restore func()) {
	before, was := h.store.manifest(repository, tag)
	moved = h.AddImage(repository, tag, image)
	return moved, sync.OnceFunc(func() {
		if was {
			h.store.addManifest(repository, tag, before)
			return
		}
		h.DeleteTag(repository, tag)
	})
}

// faultBoard holds the faults that are on, in the order of their coming.
type faultBoard struct {
	mu     sync.Mutex
	active []*activeFault
}

type activeFault struct {
	Fault
	met   int           // requests that fit
	ended chan struct{} // closed by restore
}

func (b *faultBoard) add(f Fault) *activeFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	active := &activeFault{Fault: f, ended: make(chan struct{})}
	b.active = append(b.active, active)
	return active
}

func (b *faultBoard) remove(f *activeFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active = slices.DeleteFunc(b.active, func(other *activeFault) bool { return other == f })
	close(f.ended)
}

// strike finds the fault that befalls a request (or, with onContent, the
// successful answer to it) and counts it.
func (b *faultBoard) strike(method string, t target, onContent bool) *activeFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.active {
		if f.Kind == BadCertificate || f.Kind.onContent() != onContent || !f.matches(method, t) {
			continue
		}
		f.met++
		if f.met > f.After && (f.Times == 0 || f.met <= f.After+f.Times) {
			return f
		}
	}
	return nil
}
