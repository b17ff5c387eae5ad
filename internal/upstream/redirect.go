package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// maxRedirects is the most redirects that are followed for one request.
const maxRedirects = 5

// follow sends a request and goes where the answers point. The Authorization header
// stays with the origin that it is for: once a redirect has led elsewhere it is not
// sent any more, not even back home.
func (r *Registry) follow(ctx context.Context, out request) (*answer, error) {
	home := originOf(out.url)
	foreign := false
	for hop := 0; ; hop++ {
		got, err := r.send(ctx, out)
		if err != nil {
			return nil, err
		}
		if out.stay || !redirects(got.StatusCode) {
			return &answer{Response: got, foreign: foreign}, nil
		}
		discard(got)
		if hop == maxRedirects {
			return nil, r.misled(out.what, got.StatusCode, fmt.Sprintf("more than %d redirects", maxRedirects))
		}
		next, reason := redirectTarget(out.url, got.Header.Get("Location"))
		if reason != "" {
			return nil, r.misled(out.what, got.StatusCode, reason)
		}
		if originOf(next) != home {
			foreign = true
		}
		if foreign {
			out.authorization = ""
		}
		out.url, out.call.Kind = next, CallRedirect
	}
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirectTarget resolves a Location (RFC 9110, §10.2.2), or says why it must not be
// followed. The reason never repeats the location, which may be signed.
func redirectTarget(from *url.URL, location string) (target *url.URL, reason string) {
	target, err := from.Parse(location)
	if err != nil || location == "" || target.Host == "" {
		return nil, "a redirect without a usable location"
	}
	switch {
	case target.Scheme != "http" && target.Scheme != "https":
		return nil, "a redirect to something other than http or https"
	case from.Scheme == "https" && target.Scheme == "http":
		return nil, "a redirect from https to http, which is not followed"
	}
	target.User, target.Fragment = nil, ""
	return target, ""
}

func (r *Registry) misled(what string, status int, reason string) error {
	return &Error{Kind: Invalid, Status: status, Upstream: r.config.Name, Message: what + ": the upstream answered " + reason}
}
