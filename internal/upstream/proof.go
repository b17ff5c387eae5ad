package upstream

import "context"

// proof is what goes with a request to show who asks. The zero value shows nothing.
type proof struct {
	scheme        scheme
	authorization string
	key           tokenKey
	token         string
	kept          bool // the token was not fetched for this call
}

func (p proof) none() bool { return p.authorization == "" }

// prove makes an account's proof for the repository asked about, fetching a token when needed.
func (r *Registry) prove(ctx context.Context, a *account, s scheme, q query) (proof, error) {
	switch {
	case s.name == basic && !a.anonymous():
		return proof{scheme: s, authorization: a.basic()}, nil
	case s.name == bearer:
		realm, err := r.admit(a, s)
		if err != nil {
			return proof{}, err
		}
		key := tokenKey{realm: realm.String(), service: s.service, scope: s.scopeFor(q.repo), account: a}
		value, kept, err := r.tokens.get(ctx, key, q)
		if ctx.Err() != nil {
			return proof{}, r.failure(ctx, q.what, ctx.Err())
		}
		if err != nil {
			return proof{}, err
		}
		return proof{scheme: s, authorization: "Bearer " + value, key: key, token: value, kept: kept}, nil
	}
	return proof{scheme: s}, nil
}

// after decides what to show after a 401. A proof of another kind is shown when one
// is asked for. A kept token is renewed once, unless the registry says that it is
// good and only lacks the right. A token fetched just now that is not enough means
// that the repository is private or missing: Docker Hub says 401 then.
func (p proof) after(asked scheme, repo string, renewed bool) (next scheme, again bool) {
	if asked.name == "" {
		asked = p.scheme
	}
	if !asked.sameAs(p.scheme, repo) {
		return asked, true
	}
	return asked, p.kept && !renewed && asked.reason != "insufficient_scope"
}

// sameAs tells whether two challenges ask for the same proof.
func (s scheme) sameAs(other scheme, repo string) bool {
	if s.name != other.name || s.name != bearer {
		return s.name == other.name
	}
	return s.realm == other.realm && s.service == other.service && s.scopeFor(repo) == other.scopeFor(repo)
}

// scheme is how the registry asked for proof the last time; known is false before it
// was ever asked.
func (r *Registry) scheme() (s scheme, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.learned, r.introduced
}

func (r *Registry) remember(s scheme) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learned, r.introduced = s, true
}
