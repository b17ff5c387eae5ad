package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultRest is how long nothing is asked after a refusal that does not say.
	defaultRest = time.Minute
	// maxGuessedRest bounds the rest after a used-up allowance: the window rolls, so
	// pulls may come free long before it ends.
	maxGuessedRest = 10 * time.Minute
	maxRetryAfter  = 24 * time.Hour
	maxWindow      = 366 * 24 * time.Hour
)

// Budget is what an upstream has said of a credential's pull limit, and how the
// credential stands.
type Budget struct {
	Credential string // its name: see Credential.String; or "anonymous"
	// Project is whose own it is, and Username what it logs in as; both are empty for
	// strangers, and Project for what serves everybody.
	Project, Username string
	// Configured is true unless it was added later, or is no credential.
	Configured bool
	// Metered is true once an answer carried rate-limit headers. The fields up to At
	// are those of the last such answer. Images of sponsored publishers and paid
	// accounts are not metered: their answers have no headers and change nothing.
	Metered bool
	Rate
	At time.Time
	// RestsUntil is when pulls are tried again after one was refused; zero: now.
	RestsUntil time.Time
	// AllRestsUntil is when anything is asked again after too many requests of this
	// address were refused, whatever the credential; zero: now.
	AllRestsUntil time.Time
	// Refused is true when the upstream refused the credential.
	Refused bool
	// Blocked is the host of a token service that the upstream asks to be shown the
	// credential, and that is not bound to it; empty otherwise.
	Blocked string
}

// Budget tells of each credential in the configured order, of those that were added, then
// of strangers.
func (r *Registry) Budget() []Budget {
	now := r.config.Now()
	r.mu.Lock()
	allRest := r.restsUntil
	r.mu.Unlock()
	if !allRest.After(now) {
		allRest = time.Time{}
	}
	var all []Budget
	for i, a := range append(r.pool.all(), r.stranger) {
		until, resting := a.resting(now, true)
		a.mu.Lock()
		b := a.budget
		b.Credential, b.Refused, b.Blocked, b.AllRestsUntil = a.name, a.refused, a.blocked, allRest
		a.mu.Unlock()
		if a.credential != nil {
			b.Project, b.Username, b.Configured = a.credential.Project, a.credential.Username, i < len(r.pool.configured)
		}
		if resting {
			b.RestsUntil = until
		}
		all = append(all, b)
	}
	return all
}

// noteBudget reads the rate-limit headers of an answer about a manifest.
func (r *Registry) noteBudget(a *account, header http.Header) {
	said := readRate(header)
	if said == nil {
		return
	}
	b := Budget{Credential: a.name, Metered: true, Rate: *said, At: r.config.Now()}
	a.mu.Lock()
	a.budget = b
	if said.Remaining > 0 && a.pulls.guessed {
		a.pulls = rest{}
	}
	a.mu.Unlock()
	r.metrics.budget(r.config.Name, b)
}

// readRate reads the rate-limit headers, nil when they are not there.
func readRate(header http.Header) *Rate {
	limit, window, ok := parseRateLimit(header.Get("Ratelimit-Limit"))
	remaining, otherWindow, remainingKnown := parseRateLimit(header.Get("Ratelimit-Remaining"))
	if !ok || !remainingKnown {
		return nil
	}
	if window == 0 {
		window = otherWindow
	}
	return &Rate{Limit: limit, Remaining: remaining, Window: window, Source: excerpt(header.Get("Docker-Ratelimit-Source"))}
}

// parseRateLimit reads `100;w=21600`: a count, which may be negative, and a window
// in seconds, which may be missing (0).
func parseRateLimit(value string) (count int64, window time.Duration, ok bool) {
	value, _, _ = strings.Cut(value, ",")
	number, parameters, _ := strings.Cut(value, ";")
	count, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil {
		return 0, 0, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, seconds, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "w") {
			continue
		}
		w, err := strconv.ParseInt(seconds, 10, 64)
		if err == nil && w > 0 {
			window = seconds64(w, maxWindow)
		}
	}
	return count, window, true
}

// parseRetryAfter reads seconds or an HTTP date (RFC 9110, §10.2.3). Zero means that
// the header says nothing usable; a day is the most.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return seconds64(max(seconds, 0), maxRetryAfter)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// seconds64 turns seconds into a duration without overflow.
func seconds64(seconds int64, most time.Duration) time.Duration {
	return time.Duration(min(seconds, int64(most/time.Second))) * time.Second
}

// limited tells the two kinds of 429 apart and rests what each concerns: a used-up
// allowance is the account's, everything else is the whole address's.
func (r *Registry) limited(a *account, counted bool, what string, header http.Header, body []byte) *Error {
	now := r.config.Now()
	wait := parseRetryAfter(header.Get("Retry-After"), now)
	failure := &Error{Status: http.StatusTooManyRequests, Upstream: r.config.Name, Credential: a.name}
	text, ok := pullLimitText(body)
	if !ok && len(body) == 0 && usedUp(header) {
		text, ok, counted = "no pulls are left", true, true
	}
	if !ok {
		if wait == 0 {
			wait = defaultRest
		}
		r.restAll(now.Add(wait))
		failure.Kind, failure.RetryAfter = AbuseLimit, wait
		failure.Message = fmt.Sprintf("%s: too many requests from this address; nothing is asked for %s: %s", what, wait.Round(time.Second), excerpt(string(body)))
		return failure
	}
	pause := rest{guessed: wait == 0}
	if pause.guessed {
		wait = guessRest(header)
	}
	pause.until = now.Add(wait)
	a.putToRest(pause, counted)
	failure.Kind, failure.RetryAfter = PullLimit, wait
	failure.Message = fmt.Sprintf("%s: the pull limit of %s is used up; try again in %s: %s", what, a.name, wait.Round(time.Second), excerpt(text))
	return failure
}

// guessRest is the time in which one pull comes free if the window's pulls were
// spread evenly over it.
func guessRest(header http.Header) time.Duration {
	limit, window, ok := parseRateLimit(header.Get("Ratelimit-Limit"))
	if !ok || limit <= 0 {
		return defaultRest
	}
	return min(max(window/time.Duration(limit), defaultRest), maxGuessedRest)
}

// usedUp tells a used-up allowance from the abuse limiter's refusal by the headers
// alone, since an answer to HEAD has no body: the abuse limiter sends none of these.
func usedUp(header http.Header) bool {
	remaining, _, ok := parseRateLimit(header.Get("Ratelimit-Remaining"))
	return ok && remaining <= 0
}

// pullLimitText finds the text of a 429 that is about an allowance. Docker Hub's
// abuse limiter answers plain text, so that the body is not taken for JSON blindly.
func pullLimitText(body []byte) (string, bool) {
	var said struct {
		Message string `json:"message"`
		Errors  []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil {
		return "", false
	}
	for _, e := range said.Errors {
		if strings.EqualFold(e.Code, "TOOMANYREQUESTS") {
			return e.Message, true
		}
	}
	return said.Message, said.Message != ""
}

// restAll keeps everybody from asking the upstream until then.
func (r *Registry) restAll(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.restsUntil) {
		r.restsUntil = until
	}
}

// resting is the error for a call while the whole upstream rests, or nil.
func (r *Registry) resting(what string) error {
	now := r.config.Now()
	r.mu.Lock()
	wait := r.restsUntil.Sub(now)
	r.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return &Error{
		Kind: AbuseLimit, Status: http.StatusTooManyRequests, RetryAfter: wait, Upstream: r.config.Name,
		Message: fmt.Sprintf("%s: not asked, since the upstream refused too many requests from this address; try again in %s", what, wait.Round(time.Second)),
	}
}
