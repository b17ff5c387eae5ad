package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/telemetry"
)

var errNoCredentials = errors.New("no credentials")

// Credentials are embedded in the input of every operation that needs a login; they
// are exported because huma fills exported fields only.
type Credentials struct {
	Authorization string `header:"Authorization" hidden:"true"`
	record        *telemetry.Record
	request       *http.Request
	// project and object are what the request is about, for the audit log.
	project, object string
}

// Resolve implements huma.Resolver: it keeps the request and its entry in the log.
func (c *Credentials) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	c.request = r
	c.record = telemetry.RecordOf(w)
	c.project, c.object = subject(r)
	return nil
}

// about says what a request is about whose path does not.
func (c *Credentials) about(project, object string) { c.project, c.object = project, object }

func (c *Credentials) credentials() *Credentials { return c }

// input is a pointer to the input of an operation that needs a login.
type input[I any] interface {
	*I
	credentials() *Credentials
}

// caller is who asks, by what they are known, and where from.
type caller struct {
	authn.Identity
	credential authn.Credential
	from       netip.Addr
}

// register adds an operation for callers who are logged in. The identity is an
// argument of handle, so that no operation can be written without it. How those that
// change something went is in the audit log.
func register[I, O any, P input[I]](s *service, api huma.API, op huma.Operation, handle func(context.Context, caller, P) (*O, error)) {
	op.Security = []map[string][]string{{"basic": {}}, {"bearer": {}}}
	op.Errors = append(op.Errors, http.StatusUnauthorized)
	op.MaxBodyBytes = maxBody
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		shown := P(in).credentials()
		who, err := s.authenticate(ctx, shown)
		var out *O
		if err == nil {
			shown.record.User = who.User
			out, err = handle(ctx, who, P(in))
		}
		if err != nil {
			out, err = nil, s.answer(ctx, op.OperationID, err)
		}
		s.record(ctx, op, shown, who, err)
		return out, err
	})
}

// authenticate reads an Authorization header: Basic (RFC 7617), or Bearer (RFC
// 6750) with an access token. Registry tokens are for /v2/ alone.
func (s *service) authenticate(ctx context.Context, shown *Credentials) (who caller, err error) {
	authorization := shown.Authorization
	who.from = s.Address(shown.request)
	scheme, token, _ := strings.Cut(authorization, " ")
	switch strings.ToLower(scheme) {
	case "":
		return caller{}, errNoCredentials
	case "bearer":
		who.Identity, who.credential, err = s.Authenticator.AccessToken(ctx, strings.TrimSpace(token))
		return who, err
	}
	r := http.Request{Header: http.Header{"Authorization": {authorization}}}
	user, password, ok := authn.BasicAuth(&r)
	if !ok {
		return caller{}, authn.ErrInvalidCredentials
	}
	who.Identity, who.credential, err = s.Authenticator.Basic(ctx, user, password, who.from)
	return who, err
}
