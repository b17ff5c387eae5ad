package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"github.com/larder-registry/larder/internal/api"
)

// browserPatience is how long somebody may take to log in at the issuer.
const browserPatience = 5 * time.Minute

// logInInBrowser sends the browser to the issuer and waits until it comes back (RFC 8252),
// with PKCE (RFC 7636), a state and a nonce, so that the login is the one that was begun
// here.
func (o loginOptions) logInInBrowser(cmd *cobra.Command, c *client, issuer *api.OIDCWay) (token api.Token, err error) {
	if !safePage(issuer.AuthorizationEndpoint) {
		return token, fmt.Errorf("the server names %.200q as the page to log in at, which is no address of https", issuer.AuthorizationEndpoint)
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	back, err := listenForReturn(cmd.Context(), o.callbackPort, state, issuer.Issuer)
	if err != nil {
		return token, err
	}
	defer back.close()
	page := oauth2.Config{
		ClientID: issuer.ClientID, RedirectURL: back.address(), Scopes: issuer.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: issuer.AuthorizationEndpoint},
	}
	openPage(cmd, page.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	ctx, cancel := context.WithTimeout(cmd.Context(), browserPatience)
	defer cancel()
	code, err := back.wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return token, fmt.Errorf("nobody came back from the page within %s: try again, or log in with the browser of another device, with --device", browserPatience)
	}
	if err != nil {
		return token, err
	}
	err = c.call(cmd.Context(), http.MethodPost, "/api/v1/login/oidc", api.CodeExchange{
		Code: code, CodeVerifier: verifier, Nonce: nonce, RedirectURI: back.address(), Description: description(),
	}, &token)
	return token, err
}

// openPage opens an address in the browser. It is also printed, for those whose browser is
// another, or did not open.
func openPage(cmd *cobra.Command, address string) {
	how := "Open this address in the browser of this machine to log in"
	if command := browser(); command != nil && start(append(command, address)) == nil {
		how = "Your browser opens this address; if it does not, open it yourself"
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s:\n\n  %s\n\n", how, address)
}

// start begins a program and does not wait for it: browsers last.
func start(command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// browser is the command that opens an address in the browser of whoever sits here; nil
// when there is none.
func browser() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case "darwin":
		if os.Getenv("SSH_CONNECTION") != "" {
			return nil
		}
		return []string{"open"}
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	if _, err := exec.LookPath("xdg-open"); err != nil {
		return nil
	}
	return []string{"xdg-open"}
}
