package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// oidcLife is how long a login at an issuer is good, and the groups that it told.
	oidcLife = 24 * time.Hour
	// oidcTurns is how many requests of people who log in an issuer gets at once.
	oidcTurns = 16
	// maxSubject is the longest sub of an issuer (OpenID Connect Core 1.0, §2), in bytes.
	maxSubject = 255
)

// OIDCConfig says at which OpenID Connect issuer people log in, and who they are here.
type OIDCConfig struct {
	Issuer string
	// ClientID and ClientSecret are the registry's at the issuer; a public client has no
	// secret.
	ClientID, ClientSecret string
	// Scopes are asked for; nil: openid, profile and email, and groups where the issuer
	// has such a scope.
	Scopes []string
	// UsernameClaim names people, after UsernamePrefix; "": the first there is of
	// preferred_username, email and sub.
	UsernameClaim, UsernamePrefix string
	// GroupsClaim lists their groups, each named so after GroupsPrefix.
	GroupsClaim, GroupsPrefix string
	// AllowedGroups are those of the issuer, without the prefix, of which people have to
	// be in one; empty: everybody whom the issuer knows may log in.
	AllowedGroups []string
	// Authorities are trusted for the issuer beside the system's; nil: none.
	Authorities *x509.CertPool
}

// Federated keeps the accounts of people who log in at an issuer.
type Federated interface {
	BySubject(ctx context.Context, issuer, subject string) (metadata.User, error)
	Create(ctx context.Context, user metadata.User) error
	ClaimGroups(ctx context.Context, name string, groups []string, until time.Time) error
}

// OIDC logs people in at an OpenID Connect issuer. An account belongs to what the issuer
// calls sub, which no other person ever gets, and keeps the name that it had at its first
// login. It is safe for concurrent use.
type OIDC struct {
	OIDCConfig
	who    *Authenticator
	users  Federated
	issuer *issuer
	turns  chan struct{}
}

// NewOIDC makes accounts of those whom an issuer knows. It asks the issuer nothing yet.
func NewOIDC(who *Authenticator, users Federated, c OIDCConfig) *OIDC {
	return &OIDC{
		OIDCConfig: c, who: who, users: users,
		issuer: newIssuer(c.Issuer, c.Authorities, who.now), turns: make(chan struct{}, oidcTurns),
	}
}

// LoginError refuses somebody whom the issuer knows.
type LoginError struct {
	// Reason is told to whoever logs in: what is in the way, and what to do.
	Reason string
}

func (e *LoginError) Error() string { return e.Reason }

func refusedLogin(format string, args ...any) error {
	return &LoginError{Reason: fmt.Sprintf(format, args...)}
}

// Login is an access token that was made for somebody who logged in at an issuer.
type Login struct {
	Secret string
	Token  metadata.Token
}

// admit lets in whom a verified token of the issuer names. The error is a *LoginError for
// those who may not.
func (o *OIDC) admit(ctx context.Context, t *oidc.IDToken, description string) (Login, error) {
	var c claimSet
	if err := t.Claims(&c); err != nil {
		return Login{}, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	groups, err := c.groups(o.GroupsClaim)
	if err != nil {
		return Login{}, err
	}
	if len(o.AllowedGroups) > 0 && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(o.AllowedGroups, g) }) {
		return Login{}, refusedLogin("you are in none of the groups whose members may log in to this registry: ask its administrator, and log in again once the issuer %s has you in one", o.Issuer)
	}
	u, err := o.account(ctx, t.Subject, c)
	if err != nil {
		return Login{}, err
	}
	if u.Disabled {
		return Login{}, refusedLogin("the account %s is disabled: ask an administrator of this registry", u.Name)
	}
	err = o.users.ClaimGroups(ctx, u.Name, o.named(groups), o.who.now().Add(oidcLife))
	o.who.Forget() // also after an error: the change may have been made all the same
	if err != nil {
		return Login{}, fmt.Errorf("logging %s in: %w", u.Name, err)
	}
	secret, token, err := o.who.CreateToken(ctx, NewToken{User: u.Name, Description: description, Life: oidcLife})
	return Login{Secret: secret, Token: token}, err
}

// account finds or makes the account of a subject. It never goes by the name: whoever got
// somebody else's at the issuer is still somebody else.
func (o *OIDC) account(ctx context.Context, subject string, c claimSet) (metadata.User, error) {
	if subject == "" || len(subject) > maxSubject || !printable(subject) {
		return metadata.User{}, fmt.Errorf("%w: its sub is empty, longer than %d bytes, or no text", ErrLogin, maxSubject)
	}
	u, err := o.users.BySubject(ctx, o.Issuer, subject)
	if !errors.Is(err, metadata.ErrNotFound) {
		return u, err
	}
	value, err := c.userName(o.UsernameClaim)
	if err != nil {
		return metadata.User{}, err
	}
	name := o.UsernamePrefix + value
	if strings.HasPrefix(name, systemPrefix) || len(name) > maxUser {
		return metadata.User{}, refusedLogin("the issuer calls you %.130q, and that is no possible user name here: ask an administrator of this registry", value)
	}
	now := o.who.now().UTC()
	err = o.users.Create(ctx, metadata.User{
		Name: name, Issuer: o.Issuer, Subject: subject,
		Generation: now.UnixMicro(), CreatedAt: now.Truncate(time.Microsecond),
	})
	if errors.Is(err, metadata.ErrExists) {
		return o.existing(ctx, subject, name)
	}
	if err != nil {
		return metadata.User{}, fmt.Errorf("making the account %s: %w", name, err)
	}
	return o.users.BySubject(ctx, o.Issuer, subject)
}

// existing finds the account of a subject that logs in twice at once, or tells that the
// name is another's.
func (o *OIDC) existing(ctx context.Context, subject, name string) (metadata.User, error) {
	u, err := o.users.BySubject(ctx, o.Issuer, subject)
	if errors.Is(err, metadata.ErrNotFound) {
		return u, refusedLogin("the user name %s is that of another account of this registry, which you do not get: ask an administrator to delete that account if it is nobody's any more, or to have the issuer give you another name", name)
	}
	return u, err
}

// named are groups of the issuer as they are called here. Those that cannot be, or would
// be Kubernetes' own, are left out.
func (o *OIDC) named(groups []string) []string {
	var all []string
	for _, group := range groups {
		name := o.GroupsPrefix + group
		if group != "" && len(name) <= maxGroup && printable(name) && !strings.HasPrefix(name, systemPrefix) {
			all = append(all, name)
		}
	}
	return all
}

// begin counts a login as failed before it is made.
func (o *OIDC) begin(from netip.Addr) (forgive func(), err error) {
	if err := o.who.attempts.ask(from); err != nil {
		return nil, err
	}
	return o.who.attempts.beginAtIssuer(from)
}
