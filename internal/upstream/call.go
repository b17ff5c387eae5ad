package upstream

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

// CallKind groups calls, in metrics too.
type CallKind string

// The kinds of calls.
const (
	CallManifest     CallKind = "manifest_get"
	CallManifestHead CallKind = "manifest_head" // a check, which no upstream counts
	CallBlob         CallKind = "blob"
	CallBlobHead     CallKind = "blob_head"
	CallTags         CallKind = "tags"
	CallReferrers    CallKind = "referrers"
	CallBase         CallKind = "base" // the version check
	CallToken        CallKind = "token"
	CallRedirect     CallKind = "redirect" // to wherever an answer pointed
)

// Call is one request that was sent to an upstream, to its token service, or to where an
// answer pointed, as it is reported once it has ended.
type Call struct {
	At         time.Time // when it was sent
	Upstream   string    // the configured name
	Credential string    // whose proof was shown: a user name, or "anonymous"
	Kind       CallKind
	Repository string // by its name upstream; "" when it is about none
	Reference  string // tag or digest; "" when it is about none
	For        oci.Caller
	Status     int   // the HTTP status, 0 when there was no answer
	Bytes      int64 // of the body, as far as it was read
	// Index is true when the answer was a list of manifests and not an image's own.
	Index bool
	// Rate is what the answer said of the credential's pull limit, nil when it said
	// nothing: then the image, or the account, is not metered.
	Rate *Rate
}

// Counted tells whether upstreams that count requests have counted this one as a pull: a
// manifest was asked for by GET and given.
func (c Call) Counted() bool {
	return c.Kind == CallManifest && c.Status >= http.StatusOK && c.Status < http.StatusMultipleChoices
}

// Image tells whether upstreams that count by architecture have counted the call: a
// manifest was given that is one image's.
func (c Call) Image() bool { return c.Counted() && !c.Index }

// Rate is what the rate-limit headers of one answer say.
type Rate struct {
	Limit     int64 // pulls in a window
	Remaining int64 // negative when overdrawn
	Window    time.Duration
	Source    string // whom the upstream charges: an address or account, opaque
}

// answered takes from an answer's headers what is reported of them.
func (c *Call) answered(got *http.Response) {
	c.Status = got.StatusCode
	switch mediaType(got.Header) {
	case v1.MediaTypeImageIndex, oci.MediaTypeDockerManifestList:
		c.Index = true
	}
	if c.Kind == CallManifest || c.Kind == CallManifestHead {
		c.Rate = readRate(got.Header)
	}
}

// departures counts how often a request was sent: the transport sends it again by itself
// when a connection that was used before turns out to be closed, and not at all when
// there is no connection to be had.
type departures struct{ count atomic.Int64 }

// counting is ctx for a request whose departures are counted.
func (d *departures) counting(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(wrote httptrace.WroteRequestInfo) {
		if wrote.Err == nil {
			d.count.Add(1)
		}
	}})
}

// begun is a call that is sent now.
func (r *Registry) begun(c Call) Call {
	c.At, c.Upstream = r.config.Now(), r.config.Name
	if c.Credential == "" {
		c.Credential = anonymousName
	}
	return c
}

// reportUnanswered reports all requests but those that were answered.
func (r *Registry) reportUnanswered(c Call, left *departures, answered int64) {
	for range left.count.Load() - answered {
		r.report(c)
	}
}

func (r *Registry) report(c Call) {
	if r.config.Report != nil {
		r.config.Report(c)
	}
}
