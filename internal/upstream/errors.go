package upstream

import (
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Kind says why an upstream did not give what was asked for.
type Kind int

// The kinds of failure. The zero Kind is no failure of an upstream.
const (
	// NotFound: the upstream says that it does not exist (404).
	NotFound Kind = iota + 1
	// Denied: the upstream answered 401 or 403 although the token or credential is
	// good. Docker Hub says so of missing and of private repositories alike.
	Denied
	// CredentialRefused: every configured credential was refused, and strangers are
	// denied.
	CredentialRefused
	// PullLimit: the allowance of pulls is used up (a 429 in JSON). RetryAfter is set.
	PullLimit
	// AbuseLimit: too many requests from this address (a plain 429). No credential
	// helps. RetryAfter is set.
	AbuseLimit
	// Unavailable: a status of 500 or above, no connection, no such host, bad TLS.
	Unavailable
	// Timeout: no answer, or no further byte of one, in time.
	Timeout
	// Invalid: an answer that cannot be used: wrong digest, too large, unreadable.
	Invalid
	// Blocked: the challenge named a token service that must not see the configured
	// credentials, and strangers are denied.
	Blocked
	// Reserved: what the account has left is set aside for others. Held and RetryAfter are
	// set.
	Reserved
	// OverBudget: the project that would pay has spent what it may. Held and RetryAfter are
	// set.
	OverBudget
)

func (k Kind) String() string {
	names := [...]string{"none", "not found", "denied", "credential refused", "pull limit", "abuse limit", "unavailable", "timeout", "invalid", "blocked", "reserved", "over budget"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Error is why an upstream did not give what was asked for. A call that its caller
// canceled returns the context's error instead.
type Error struct {
	Kind       Kind
	Status     int           // the HTTP status, 0 when there was none
	RetryAfter time.Duration // 0: the upstream gave no advice
	Upstream   string        // its configured name
	Credential string        // whose standing it was: a user name or "anonymous"; "" when it is nobody's
	Message    string        // what was asked, what happened, what to do next
	Held       *Held         // for whom it was held back; nil when it was not
	Err        error         // the cause, when there is one
}

func (e *Error) Error() string {
	text := e.Upstream + ": " + e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Plain is the message and the innermost cause in its own words, of 600 bytes at most. URLs
// stay out: those of signed storage are secrets.
func (e *Error) Plain() string {
	if cause := e.Cause(); cause != "" {
		return excerpt(e.Message) + ": " + cause
	}
	return excerpt(e.Message)
}

// Cause is the innermost cause in its own words, without URLs; "" when there is none.
func (e *Error) Cause() string {
	text := ""
	for cause := e.Err; cause != nil; cause = errors.Unwrap(cause) {
		if _, isURL := cause.(*url.Error); !isURL { //nolint:errorlint // every link of the chain is looked at
			text = cause.Error()
		}
	}
	return excerpt(text)
}

// KindOf finds the kind of the first *Error in err's chain; zero when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// errStalled is the cause with which an exchange is canceled that makes no progress.
var errStalled = errors.New("the upstream stopped sending")

// moreTelling picks the error to return when several accounts failed in different
// ways; other is the later account's. A used-up allowance outranks a denial, since the
// credential that rests may well be the one that has the right; of several, the one
// that is back first counts. That strangers are denied explains least.
func moreTelling(one, other error, later *account) error {
	rank := map[Kind]int{Reserved: 3, OverBudget: 3, PullLimit: 3, Denied: 2, CredentialRefused: 1, Blocked: 1}
	was, is := KindOf(one), KindOf(other)
	switch {
	case one == nil, rank[was] == 3 && rank[is] == 3 && retryAfter(other) < retryAfter(one):
		return other
	case is == Denied && later.anonymous():
		return one
	case rank[is] > rank[was]:
		return other
	}
	return one
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// another tells whether another credential may succeed where this one failed.
func another(err error) bool {
	switch KindOf(err) {
	case PullLimit, Reserved, OverBudget, Denied, CredentialRefused, Blocked:
		return true
	}
	return false
}

// excerpt makes a stranger's text fit for an error or a log line.
func excerpt(text string) string {
	const most = 300
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, " "))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
