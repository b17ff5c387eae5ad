package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// shortWait is how long a caller is kept waiting for a pull that is held back, at most. A
// longer wait is for the caller to decide on.
const shortWait = 2 * time.Second

// Gate decides on each pull that an account would be charged for, before it is asked for.
// The own credentials of projects pass none. It is safe for concurrent use.
type Gate interface {
	// Enter takes a pull out of what an account has left. The error is ErrUnsure where that
	// is not known well enough and sure is false, else an *Error with what is Held. Draw is
	// true when a reserve of the payer's may be drawn on.
	Enter(account string, payer oci.Caller, sure, draw bool) (Turn, error)
	// Watch is Enter for a question that no upstream counts.
	Watch(account string) Turn
	// Projects are those that pulls are shared out among.
	Projects() []string
}

// Turn is one question to an account, and ends once.
type Turn interface {
	// Ended is told what came of the question, and what the answer said of the account's
	// limit; nil when it said nothing.
	Ended(came Outcome, said *Rate)
}

// ErrUnsure says that an account has to be asked first what it has left.
var ErrUnsure = errors.New("what is left is not known")

// Outcome is what came of a question.
type Outcome int

// The outcomes.
const (
	// Unanswered: it may have been counted.
	Unanswered Outcome = iota
	// Refused: it was answered and not counted.
	Refused
	// Given: it was counted if the answer told of a limit.
	Given
)

// Held says for whom pulls are held back that an upstream would have given.
type Held struct {
	// Reserves are the projects that what is left is set aside for. There are none when it
	// is the budget of Project that is used up.
	Reserves []string
	Project  string
	// Limit and Window are those of the account, or of the project's budget; Left is what
	// the account has left, also below zero.
	Limit, Left int64
	Window      time.Duration
	// Payer is whose pull it was.
	Payer oci.Caller
}

// turn is a question under way at a gate; without one there is nothing to tell.
type turn struct {
	at   Turn
	came Outcome
	said *Rate
}

// answered takes note of an answer. What came without a proof was not charged to the
// account that the question was for.
func (t *turn) answered(a *account, p proof, got *answer) {
	t.came = Refused
	if got.StatusCode == http.StatusOK || got.StatusCode == http.StatusPartialContent {
		t.came = Given
	}
	if !got.foreign && (!p.none() || a.anonymous()) {
		t.said = readRate(got.Header)
	}
}

func (t *turn) end() {
	if t.at != nil {
		t.at.Ended(t.came, t.said)
	}
}

// enter waits for the gate to let a query through as an account. A pull that comes free in
// a moment is waited for.
func (r *Registry) enter(ctx context.Context, a *account, q query, known *scheme) (*turn, error) {
	switch {
	case r.config.Gate == nil || !q.manifest() || !a.anonymous() && a.credential.Project != "":
		return &turn{}, nil
	case !q.counted():
		return &turn{at: r.config.Gate.Watch(a.name)}, nil
	}
	got, err := r.pass(ctx, a, q, known)
	if held, ok := heldBack(err); ok && held.RetryAfter <= shortWait && afford(ctx, held.RetryAfter) {
		got, err = r.pass(ctx, a, q, known)
	}
	if held, ok := heldBack(err); ok {
		held.Message = q.what + ": not asked, since " + held.Message
	}
	return got, err
}

// pass asks the gate and, where it is not sure, the upstream what the account has left, by
// a HEAD for the same manifest: whether that is metered at all turns out as well.
func (r *Registry) pass(ctx context.Context, a *account, q query, known *scheme) (*turn, error) {
	at, err := r.config.Gate.Enter(a.name, q.payer, false, q.draw)
	if !errors.Is(err, ErrUnsure) {
		return &turn{at: at}, err
	}
	select { // one asks for all
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if at, err = r.config.Gate.Enter(a.name, q.payer, false, q.draw); !errors.Is(err, ErrUnsure) {
		return &turn{at: at}, err
	}
	head := q
	head.kind = CallManifestHead
	got, err := r.doAs(ctx, a, head, known)
	if err != nil {
		return nil, err
	}
	discard(got.Response)
	if !got.foreign && readRate(got.Header) == nil {
		return &turn{}, nil // it costs nothing
	}
	at, err = r.config.Gate.Enter(a.name, q.payer, true, q.draw)
	return &turn{at: at}, err
}

// heldBack finds the failure of a pull that this registry itself holds back.
func heldBack(err error) (*Error, bool) {
	failure, ok := errors.AsType[*Error](err)
	return failure, ok && failure.Held != nil
}

// HeldOf tells for whom a pull was held back, nil when it was not.
func HeldOf(err error) *Held {
	if failure, ok := heldBack(err); ok {
		return failure.Held
	}
	return nil
}
