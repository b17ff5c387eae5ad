package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// issuer is where to log in at, or nil for the server itself: whoever names a user or gives
// a secret means that. The others mean the issuer if there is one.
func (o loginOptions) issuer(cmd *cobra.Command, login loginContext) (*api.OIDCWay, error) {
	wanted := o.web || o.device
	named := o.user != "" || o.password != "" || o.passwordStdin || o.token != ""
	_, person := terminal(cmd)
	switch {
	case o.web && o.device:
		return nil, usagef("give one of --web and --device only")
	case wanted && named:
		return nil, usagef("at the issuer you are asked who you are: give --web or --device, or a user name, a password or a token")
	case named, !wanted && !person:
		return nil, nil
	}
	way, err := issuerOf(cmd.Context(), login)
	switch {
	case err != nil:
		return nil, fmt.Errorf("logging in to %s: %w", login.Server, err)
	case way == nil && wanted:
		return nil, fmt.Errorf("%s has no issuer to log in at: log in with larder login %s -u NAME", login.Server, login.Server)
	case way == nil:
		return nil, nil
	case way.Problem != "" && wanted:
		return nil, fmt.Errorf("logging in to %s: %s; try again later, or log in with a password: larder login %s -u NAME", login.Server, way.Problem, login.Server)
	case way.Problem != "":
		warn(cmd, "%s: you are asked for a password instead", way.Problem)
		return nil, nil
	}
	return way, nil
}

// issuerOf asks the server for its issuer; nil when it has none. Older servers do not know
// the question.
func issuerOf(ctx context.Context, login loginContext) (*api.OIDCWay, error) {
	c, err := newStrangersClient(login)
	if err != nil {
		return nil, err
	}
	var ways api.LoginWays
	err = c.call(ctx, http.MethodGet, "/api/v1/login", nil, &ways)
	if refused, ok := errors.AsType[*answerError](err); ok && refused.status == http.StatusNotFound {
		return nil, nil
	}
	return ways.OIDC, err
}

// newStrangersClient returns a client that shows no credentials.
func newStrangersClient(login loginContext) (*client, error) {
	c, err := newClient(login)
	if err == nil {
		c.authorize = func(*http.Request) {}
	}
	return c, err
}

// logInAtIssuer fills in user and token. The text it returns says how long they are good.
func (o loginOptions) logInAtIssuer(cmd *cobra.Command, issuer *api.OIDCWay, login *loginContext) (until string, err error) {
	c, err := newStrangersClient(*login)
	if err != nil {
		return "", err
	}
	warnInTheClear(cmd, login.Server, "login")
	if !o.web && !o.device {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Logging in at %s. To use a password instead: larder login %s -u NAME\n", issuer.Issuer, login.Server)
	}
	var token api.Token
	if o.device || !o.web && browser() == nil && issuer.DeviceAuthorizationEndpoint != "" {
		token, err = logInOnDevice(cmd, c)
	} else {
		token, err = o.logInInBrowser(cmd, c, issuer)
	}
	if err != nil {
		return "", err
	}
	return login.take(token), nil
}

// safePage tells whether a browser may be sent to an address to log in there: whoever is
// between must not read the password.
func safePage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u))
}
