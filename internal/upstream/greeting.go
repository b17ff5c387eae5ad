package upstream

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// introduce learns how the registry wants callers to prove who they are, before the
// first question is asked, as Docker does (Docker Registry HTTP API V2, §API Version
// Check): so nothing that an upstream counts is sent in vain. It is done once, by one
// caller for all.
func (r *Registry) introduce(ctx context.Context, q query) (scheme, error) {
	if s, ok := r.scheme(); ok {
		return s, nil
	}
	select {
	case r.greeting <- struct{}{}:
		defer func() { <-r.greeting }()
	case <-ctx.Done():
		return scheme{}, r.failure(ctx, q.what, ctx.Err())
	}
	if s, ok := r.scheme(); ok {
		return s, nil
	}
	got, err := r.exchange(ctx, request{
		call: Call{Kind: CallBase, For: q.payer}, method: http.MethodGet, url: r.base(), header: http.Header{}, what: q.what, stay: true,
	})
	if err != nil {
		return scheme{}, err
	}
	defer discard(got.Response)
	s := wanted(got.Header)
	s.scope, s.reason = "", "" // those of the question to come are meant
	if got.StatusCode == http.StatusOK || got.StatusCode == http.StatusUnauthorized {
		r.remember(s)
	}
	return s, nil
}

// base is the URL of the version check.
func (r *Registry) base() *url.URL {
	u := *r.config.URL
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+"/v2/", ""
	return &u
}
