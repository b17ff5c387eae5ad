package upstream

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// maxTurns bounds how often one call is sent with one credential: without a proof,
// with the proof that was asked for, with a renewed token, and with another scope.
const maxTurns = 4

// query is what is asked of the registry, whoever asks.
type query struct {
	kind      CallKind
	repo      string
	reference string // tag or digest, if it is about one
	payer     oci.Caller
	draw      bool   // on a reserve of the payer's
	path      string // after /v2/NAME/
	values    url.Values
	header    http.Header
	what      string // as in "reading tags of library/nginx"
}

// method follows from the kind: nothing else is ever sent.
func (q query) method() string {
	if q.kind == CallManifestHead || q.kind == CallBlobHead {
		return http.MethodHead
	}
	return http.MethodGet
}

// call is what is known of the query before it is sent.
func (q query) call() Call {
	return Call{Kind: q.kind, Repository: q.repo, Reference: q.reference, For: q.payer}
}

// counted tells whether upstreams count the request as a pull.
func (q query) counted() bool { return q.kind == CallManifest }

// manifest tells whether the answer carries rate-limit headers.
func (q query) manifest() bool { return q.kind == CallManifest || q.kind == CallManifestHead }

// do asks as each account in turn until one is given an answer of 200 or 206. An
// account that rests or was set aside is passed over. When all have failed, the error
// is the one that explains most.
func (r *Registry) do(ctx context.Context, as Asker, q query) (*answer, error) {
	q.payer = as.For
	if err := r.resting(q.what); err != nil {
		return nil, err
	}
	known, err := r.introduce(ctx, q)
	if err != nil {
		return nil, err
	}
	got, reserved, err := r.doAsEach(ctx, as, q, &known)
	if err != nil && reserved && len(as.For.Shares) > 0 {
		// What is open to all comes first, whichever account has it.
		q.draw = true
		got, _, err = r.doAsEach(ctx, as, q, &known)
	}
	return got, err
}

// doAsEach tells also whether an account has something left that is reserved.
func (r *Registry) doAsEach(ctx context.Context, as Asker, q query, known *scheme) (got *answer, reserved bool, err error) {
	var telling error
	for _, a := range r.accounts(as) {
		got, err := r.doAs(ctx, a, q, known)
		if err == nil {
			return got, false, nil
		}
		if !another(err) {
			return nil, false, err
		}
		reserved = reserved || KindOf(err) == Reserved
		telling = moreTelling(telling, err, a)
	}
	if telling == nil { // the last credential that would do was removed
		telling = &Error{Kind: Denied, Upstream: r.config.Name, Message: q.what + ": there is no credential to ask with"}
	}
	return nil, reserved, telling
}

// doAs asks as one account. Known is what has been learned of the registry's way to
// ask for proof; it saves the next account a request.
func (r *Registry) doAs(ctx context.Context, a *account, q query, known *scheme) (*answer, error) {
	if err := r.passOver(a, q); err != nil {
		return nil, err
	}
	at, err := r.enter(ctx, a, q, known)
	if err != nil {
		return nil, err
	}
	defer at.end()
	renewed := false
	for turn := 1; ; turn++ {
		p, err := r.prove(ctx, a, *known, q)
		if err != nil {
			return nil, err
		}
		got, err := r.ask(ctx, a, q, p)
		if err != nil {
			return nil, err
		}
		if got.foreign || got.StatusCode != http.StatusUnauthorized {
			at.answered(a, p, got)
			return r.judge(a, q, p, got)
		}
		next, again := p.after(wanted(got.Header), q.repo, renewed)
		if !again || turn == maxTurns || next.name == basic && a.anonymous() {
			at.answered(a, p, got)
			return nil, r.unauthorized(a, q, got)
		}
		discard(got.Response)
		if p.kept && next.sameAs(p.scheme, q.repo) {
			r.tokens.drop(p.key, p.token)
			renewed = true
		}
		*known = next
	}
}

// passOver is the reason not to ask as this account now, or nil.
func (r *Registry) passOver(a *account, q query) error {
	if a.standing().refused {
		return r.credentialRefused(a)
	}
	now := r.config.Now()
	until, resting := a.resting(now, q.counted())
	if !resting {
		return nil
	}
	wait := until.Sub(now)
	return &Error{
		Kind: PullLimit, Status: http.StatusTooManyRequests, RetryAfter: wait, Upstream: r.config.Name, Credential: a.name,
		Message: q.what + ": not asked, since the pull limit of " + a.name + " is used up; try again in " + wait.Round(time.Second).String(),
	}
}

// ask sends the query once. A Basic credential that never worked is tried by one
// caller at a time.
func (r *Registry) ask(ctx context.Context, a *account, q query, p proof) (*answer, error) {
	out := request{
		call: q.call(), method: q.method(), url: r.locate(q), header: q.header,
		authorization: p.authorization, what: q.what,
	}
	if !p.none() {
		out.call.Credential = a.name
	}
	if p.scheme.name != basic || p.none() {
		return r.exchange(ctx, out)
	}
	var got *answer
	err := a.present(ctx, r.config.Timeouts.Request, func() (bool, error) {
		var err error
		if got, err = r.exchange(ctx, out); err != nil {
			return false, err
		}
		if got.StatusCode == http.StatusUnauthorized && !got.foreign && wanted(got.Header).name != bearer {
			r.refuse(a, "the registry")
		}
		return got.StatusCode < http.StatusMultipleChoices, nil
	})
	return got, r.presented(ctx, a, q.what, err)
}

func (r *Registry) locate(q query) *url.URL {
	u := *r.config.URL
	u.Path = strings.TrimSuffix(u.Path, "/") + "/v2/" + q.repo + "/" + q.path
	u.RawPath, u.RawQuery = "", q.values.Encode()
	return &u
}

// judge turns every status but 200 and 206 into an error, after noting what the
// answer says of limits and of the proof.
func (r *Registry) judge(a *account, q query, p proof, got *answer) (*answer, error) {
	if p.none() {
		a = r.stranger
	} else {
		r.remember(p.scheme.forAll(q.repo))
	}
	if q.manifest() && !got.foreign {
		r.noteBudget(a, got.Header)
	}
	if got.StatusCode == http.StatusOK || got.StatusCode == http.StatusPartialContent {
		return got, nil
	}
	return nil, r.refusal(a, q.counted(), q.what, got)
}

// unauthorized is the error for a 401 that no other proof can turn into an answer.
func (r *Registry) unauthorized(a *account, q query, got *answer) error {
	if a.standing().refused {
		discard(got.Response)
		return r.credentialRefused(a)
	}
	return r.refusal(a, q.counted(), q.what, got)
}
