package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/sleep"
)

// slowDown is how much longer to wait between two questions after a server that says so
// (RFC 8628, §3.5).
const slowDown = 5 * time.Second

// logInOnDevice shows a code, which is confirmed in a browser elsewhere (RFC 8628).
func logInOnDevice(cmd *cobra.Command, c *client) (token api.Token, err error) {
	var begun api.DeviceLogin
	if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/login/oidc/device", nil, &begun); err != nil {
		return token, err
	}
	if !safePage(begun.VerificationURI) {
		return token, fmt.Errorf("the server names %.200q as the page to log in at, which is no address of https", begun.VerificationURI)
	}
	life := time.Duration(begun.ExpiresInSeconds) * time.Second
	out := cmd.ErrOrStderr()
	_, _ = fmt.Fprintf(out, "Open this address in a browser, on any device, within %s:\n\n  %s\n\nand type this code there, or check that it is the same:\n\n  %s\n\n",
		life, begun.VerificationURI, begun.UserCode)
	if safePage(begun.VerificationURIComplete) {
		_, _ = fmt.Fprintf(out, "This address has the code in it:\n\n  %s\n\n", begun.VerificationURIComplete)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), life)
	defer cancel()
	token, err = awaitDevice(ctx, c, begun)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		return token, fmt.Errorf("nobody confirmed the login within %s: try again", life)
	}
	return token, err
}

// awaitDevice asks until the login was confirmed or refused, or ctx ends. A server that
// cannot tell just now is asked again.
func awaitDevice(ctx context.Context, c *client, begun api.DeviceLogin) (api.Token, error) {
	interval := max(time.Duration(begun.IntervalSeconds)*time.Second, time.Second)
	for {
		if err := sleep.For(ctx, interval); err != nil {
			return api.Token{}, err
		}
		var answer api.DeviceAnswer
		err := c.call(ctx, http.MethodPost, "/api/v1/login/oidc/device/token",
			api.DeviceExchange{DeviceCode: begun.DeviceCode, Description: description()}, &answer)
		refused, ok := errors.AsType[*answerError](err)
		switch {
		case err == nil && answer.Token != nil:
			return *answer.Token, nil
		case answer.SlowDown, ok && refused.status == http.StatusTooManyRequests:
			interval += slowDown
		case err != nil && (!ok || refused.status != http.StatusServiceUnavailable):
			return api.Token{}, err
		}
	}
}
