package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// accessTokenPrefix begins every access token.
const accessTokenPrefix = "larder_"

type loginOptions struct {
	server                string
	user, password, token string
	passwordStdin         bool
	web, device           bool
	callbackPort          uint16
	ca                    string
	insecure              bool
}

func newLoginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [URL]",
		Short: "Log in to a server and keep the login",
		Long: `Log in to a server by user name and password, by access token, or at the OpenID Connect
issuer that the server has people log in at. What is kept is an access token, in
~/.config/larder/config. Without a URL it is the server of the last login.

Without a user name it is the issuer, where there is one: in the browser or, where there
is none, by a code that is confirmed in the browser of another device.`,
		Example: `  larder login https://registry.example.com
  larder login https://registry.example.com --device
  larder login https://registry.example.com -u alice
  larder login https://registry.example.com -u alice --password-stdin < password.txt
  larder login http://localhost:5000 --token TOKEN
  larder login --server http://localhost:5000 --token TOKEN`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return runLogin(cmd, o, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.server, "server", "s", "", "the server's URL, as an argument gives it")
	flags.StringVarP(&o.user, "username", "u", "", "user name")
	flags.StringVarP(&o.password, "password", "p", "", "password or access token; others on this machine can see it, so prefer --password-stdin")
	flags.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password or the access token from standard input")
	flags.StringVar(&o.token, "token", "", "access token; others on this machine can see it, so prefer --password-stdin")
	flags.BoolVarP(&o.web, "web", "w", false, "log in at the server's issuer, in the browser")
	flags.BoolVar(&o.device, "device", false, "log in at the server's issuer, in a browser elsewhere")
	flags.Uint16VarP(&o.callbackPort, "callback-port", "c", 0, "port of 127.0.0.1 on which the browser comes back, where the issuer knows one only (default any free one)")
	flags.StringVar(&o.ca, "certificate-authority", "", "file with the certificate of the authority that signed the server's (PEM)")
	flags.BoolVar(&o.insecure, "insecure-skip-tls-verify", false, "do not verify the server's certificate: whoever sits between can read everything")
	return cmd
}

func runLogin(cmd *cobra.Command, o loginOptions, args []string) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	login, err := o.context(all, args)
	if err != nil {
		return err
	}
	until, err := o.logInSomewhere(cmd, &login)
	if err != nil {
		return err
	}
	login.Namespace = all.Contexts[login.name()].Namespace
	if n, err := cmd.Flags().GetString(namespaceFlag); err == nil && n != "" {
		login.Namespace = n
	}
	all.keep(login)
	if err := all.write(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Logged in to %s as %s%s.\n", login.Server, login.User, until)
	return err
}

// logInSomewhere logs in at the issuer or at the server itself.
func (o loginOptions) logInSomewhere(cmd *cobra.Command, login *loginContext) (until string, err error) {
	issuer, err := o.issuer(cmd, *login)
	if err == nil && issuer == nil {
		err = o.readSecret(cmd, login.Server)
	}
	if err != nil {
		return "", err
	}
	if issuer != nil {
		until, err = o.logInAtIssuer(cmd, issuer, login)
	} else {
		until, err = o.logIn(cmd.Context(), login)
	}
	if err != nil {
		return "", fmt.Errorf("logging in to %s: %w", login.Server, err)
	}
	return until, nil
}

// context is the login that is about to be made, still without user and token.
func (o loginOptions) context(all contexts, args []string) (loginContext, error) {
	last := all.Contexts[all.Current]
	login := loginContext{Server: last.Server, CA: last.CA, Insecure: last.Insecure}
	if o.server != "" {
		args = append(args[:len(args):len(args)], o.server)
	}
	if len(args) == 2 {
		return loginContext{}, usagef("two servers are given: write larder login URL, or larder login --server URL")
	}
	if len(args) == 1 {
		server, err := parseServer(args[0])
		if err != nil {
			return loginContext{}, err
		}
		if server != last.Server {
			login = loginContext{Server: server}
		}
	}
	if login.Server == "" {
		return loginContext{}, usagef("no server is given: write larder login URL, for example larder login http://localhost:5000")
	}
	if o.ca != "" {
		file, err := filepath.Abs(o.ca)
		if err != nil {
			return loginContext{}, fmt.Errorf("finding %s: %w", o.ca, err)
		}
		login.CA, login.Insecure = file, false
	}
	if o.insecure {
		login.Insecure = true
	}
	return login, nil
}

// logIn fills in user and token. The text it returns says how long they are good.
func (o loginOptions) logIn(ctx context.Context, login *loginContext) (until string, err error) {
	c, err := newClient(*login)
	if err != nil {
		return "", err
	}
	if o.token != "" {
		var user api.User
		c.authorize = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+o.token) }
		if err := c.call(ctx, http.MethodGet, "/api/v1/whoami", nil, &user); err != nil {
			return "", err
		}
		login.User, login.Token = user.Name, o.token
		return "", nil
	}
	var token api.Token
	c.authorize = func(r *http.Request) { r.SetBasicAuth(o.user, o.password) }
	if err := c.call(ctx, http.MethodPost, "/api/v1/tokens", api.TokenRequest{Description: description()}, &token); err != nil {
		return "", err
	}
	return login.take(token), nil
}

// take makes the login that of a token. The text it returns says how long it is good.
func (c *loginContext) take(token api.Token) (until string) {
	c.User, c.Token = token.User, token.Token
	return " until " + token.ExpiresAt.Local().Format(time.RFC1123)
}

// description tells the tokens of several machines apart.
func description() string {
	host, err := os.Hostname()
	if err != nil || len(host) > 100 {
		return "larder login"
	}
	return "larder login on " + host
}

// parseServer accepts what people type for a server: a URL or a host. A host alone
// means https, except on this machine, where nothing else can listen in.
func parseServer(s string) (string, error) {
	if !strings.Contains(s, "://") {
		scheme := "https://"
		if loopback(&url.URL{Host: s}) {
			scheme = "http://"
		}
		s = scheme + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", usagef("the server's URL cannot be read: write it like https://registry.example.com")
	case u.User != nil:
		return "", usagef("the server's URL must not hold a user name or a password: use -u and --password-stdin")
	case (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return "", usagef("%q is no URL of a server: write it like https://registry.example.com", s)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", usagef("the server's URL has a path, which it must not have: write %s://%s", u.Scheme, u.Host)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

func loopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// inTheClear tells whether what is sent to server can be read on the way.
func inTheClear(server string) bool {
	u, err := url.Parse(server)
	return err == nil && u.Scheme == "http" && !loopback(u)
}
