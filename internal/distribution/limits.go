package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

// LimitsPath is the page on the registry that tells people of its limits.
const LimitsPath = "/limits"

// PullLimits counts the pulls of callers, and tells what they have left.
type PullLimits interface {
	// Take lets the GET of a manifest through and counts it; the Pull may be nil, of what is
	// not counted. The error is a *pulllimit.ReachedError.
	Take(c pulllimit.Caller, repo oci.Repository, ref oci.Reference) (*pulllimit.Pull, error)
	// Standing is false where no limit applies.
	Standing(c pulllimit.Caller, project string) (pulllimit.Standing, bool)
}

// takePull lets the GET of a manifest through, before anybody is asked for the manifest.
func (h *Handler) takePull(x *exchange) (*pulllimit.Pull, error) {
	if h.PullLimits == nil {
		return nil, nil
	}
	pull, err := h.PullLimits.Take(x.puller(), x.target.Repository, x.route.reference)
	if reached, ok := errors.AsType[*pulllimit.ReachedError](err); ok {
		showStanding(x.w.Header(), reached.Standing)
		err = h.limitReached(x, reached)
	}
	return pull, err
}

func (x *exchange) puller() pulllimit.Caller {
	return pulllimit.Caller{Identity: x.who.identity, Address: x.address}
}

// countPull counts the pull of a manifest that is about to be sent. Who holds the manifest
// already, and is told so, has pulled nothing.
func (h *Handler) countPull(x *exchange, pull *pulllimit.Pull, m oci.Manifest) {
	if x.r.Header.Get("If-None-Match") != "" && statusOfHead(x, int64(len(m.Content))) == http.StatusNotModified {
		pull.GiveBack()
	} else {
		pull.Served(m)
	}
	if s, limited := pull.Standing(); limited {
		showStanding(x.w.Header(), s)
	}
}

// tellStanding answers a HEAD of a manifest, which is never counted.
func (h *Handler) tellStanding(x *exchange) {
	if h.PullLimits == nil {
		return
	}
	if s, limited := h.PullLimits.Standing(x.puller(), x.target.Repository.Project()); limited {
		showStanding(x.w.Header(), s)
	}
}

// showStanding sets Docker Hub's headers, in its spelling, which people look for with grep.
func showStanding(header http.Header, s pulllimit.Standing) {
	text := appendPerWindow(make([]byte, 0, 64), s.Limit.Most, s.Limit.Window)
	cut := len(text)
	both := string(appendPerWindow(text, s.Remaining, s.Limit.Window)) // one string and one slice for all
	values := []string{both[:cut], both[cut:], quoted(s.Source)}
	header["RateLimit-Limit"] = values[0:1:1]
	header["RateLimit-Remaining"] = values[1:2:2]
	header["Docker-RateLimit-Source"] = values[2:3:3]
}

// appendPerWindow writes a number of pulls and the window in seconds, as in 100;w=21600.
func appendPerWindow(text []byte, pulls int, window time.Duration) []byte {
	text = append(strconv.AppendInt(text, int64(pulls), 10), ";w="...)
	return strconv.AppendInt(text, int64(window/time.Second), 10)
}

// limitReached says whose limit it is, what was counted, and how long to wait.
func (h *Handler) limitReached(x *exchange, reached *pulllimit.ReachedError) error {
	scheme, host := h.Origin(x.r)
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "You have reached your pull rate limit on %s, set by its operator: %d pulls in %s",
		quoted(host), reached.Limit.Most, plainDuration(reached.Limit.Window))
	if reached.Project != "" {
		text.WriteString(" of project " + reached.Project)
	}
	whose := "account"
	if reached.Anonymous {
		whose = "address"
	}
	_, _ = fmt.Fprintf(&text, " for the %s %s. Another pull is possible in %s", whose, quoted(reached.Source), plainDuration(roundUp(reached.Wait)))
	if reached.LoginHelps && h.mirror == nil {
		_, _ = fmt.Fprintf(&text, ", or after docker login %s", quoted(host))
	}
	text.WriteString("." + seePage(scheme, host))
	return &oci.Error{Code: oci.CodeTooManyRequests, Message: text.String(), RetryAfter: reached.Wait, Err: reached}
}

// pointToPage adds to the refusal of an upstream's limit where people read about limits.
func (h *Handler) pointToPage(x *exchange, refusal *oci.Error) *oci.Error {
	if refusal.Code != oci.CodeTooManyRequests || upstream.KindOf(refusal) == 0 {
		return refusal
	}
	pointed := *refusal
	pointed.Message += "." + seePage(h.Origin(x.r))
	return &pointed
}

func seePage(scheme, host string) string {
	return " See " + scheme + "://" + quoted(host) + LimitsPath
}

// asDockerHub is what Docker Hub's answers also hold beside the list of errors: the line
// that people get to see.
func asDockerHub(refusal *oci.Error) string {
	if refusal.Code != oci.CodeTooManyRequests {
		return ""
	}
	return "toomanyrequests: " + refusal.Message
}

// recordReached writes to the audit log that somebody's pulls are refused, which happens
// again and again: only the first refusal of an hour is an entry.
func (h *Handler) recordReached(ctx context.Context, x *exchange, reached *pulllimit.ReachedError) {
	if !reached.First {
		return
	}
	event := events.Event{
		Action: "pull", Result: events.Refused, Address: x.address.String(),
		Project: x.target.Repository.Project(), Object: x.subject(), Detail: reached.Error(),
	}
	if !x.who.identity.Anonymous() {
		event.Actor = x.who.identity.User
	}
	h.Events.Record(ctx, event)
}

// roundUp is a wait in whole seconds, so that nobody comes a moment early.
func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// plainDuration is a duration as people write it: 6h, 1h30m, 45s; and without the seconds
// from an hour on.
func plainDuration(d time.Duration) string {
	if d >= time.Hour {
		d = (d + time.Minute - 1).Truncate(time.Minute)
	}
	return ratelimit.PlainDuration(d)
}
