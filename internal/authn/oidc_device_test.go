package authn

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// confirm opens the page of a login as a person does elsewhere.
func confirm(t *testing.T, d DeviceLogin) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.VerificationURIComplete, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the page was answered %s", response.Status)
	}
}

func (e *entrance) startDevice(t *testing.T) DeviceLogin {
	t.Helper()
	d, err := e.StartDevice(t.Context(), home)
	must(t, err)
	return d
}

// pollFor asks once and tells why nobody is logged in.
func (e *entrance) pollFor(t *testing.T, d DeviceLogin) error {
	t.Helper()
	_, err := e.LogInByDevice(t.Context(), d.DeviceCode, "", home)
	return err
}

func TestALoginOnADeviceIsConfirmedElsewhere(t *testing.T) {
	e := newEntrance(t)
	d := e.startDevice(t)
	if d.UserCode == "" || d.VerificationURI == "" || d.Life != 10*time.Minute || d.Interval != time.Second {
		t.Errorf("login = %+v", d)
	}
	for range 50 { // waiting is no failed login
		answer, err := e.LogInByDevice(t.Context(), d.DeviceCode, "", home)
		must(t, err)
		if !answer.Pending || answer.SlowDown {
			t.Fatalf("before it is confirmed it is %+v", answer)
		}
	}
	e.issuer.QueueUser(jane())
	confirm(t, d)
	answer, err := e.LogInByDevice(t.Context(), d.DeviceCode, "a device", home)
	must(t, err)
	if id := e.identity(t, answer.Login.Secret); id.User != "oidc:jane" || id.Groups[1] != "oidc:devs" || answer.Login.Token.Description != "a device" {
		t.Errorf("identity = %+v, token = %+v", id, answer.Login.Token)
	}
	wantError(t, e.pollFor(t, d), ErrLogin) // it is good once
}

func TestALoginOnADeviceThatEndsTellsWhy(t *testing.T) {
	e := newEntrance(t)
	d := e.startDevice(t)
	e.issuer.Deny()
	refusal, ok := errors.AsType[*LoginError](e.pollFor(t, d))
	if !ok {
		t.Fatal("a login that was denied is not refused")
	}
	wantText(t, refusal.Reason, "was refused at the issuer")

	answers := func(code string) {
		e.issuer.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer {
			return oidctest.Answer{Status: http.StatusBadRequest, Body: []byte(`{"error":"` + code + `"}`)}
		})
	}
	answers("expired_token")
	if refusal, ok = errors.AsType[*LoginError](e.pollFor(t, d)); !ok {
		t.Fatal("a login that is over is not refused")
	}
	wantText(t, refusal.Reason, "the time to confirm the login is over")
	answers("slow_down")
	answer, err := e.LogInByDevice(t.Context(), d.DeviceCode, "", home)
	must(t, err)
	if !answer.Pending || !answer.SlowDown {
		t.Errorf("answer = %+v", answer)
	}
}

func TestGuessedDeviceCodesAreFailedLogins(t *testing.T) {
	e := newEntrance(t)
	for range 10 {
		wantError(t, e.pollFor(t, DeviceLogin{DeviceCode: "guessed"}), ErrLogin)
	}
	if _, ok := errors.AsType[*AttemptsError](e.pollFor(t, DeviceLogin{DeviceCode: "guessed"})); !ok {
		t.Error("there is no limit")
	}
}

func TestAnIssuerWithoutADeviceFlowHasNone(t *testing.T) {
	e := newEntrance(t)
	e.issuer.SpoilFields(mockoidc.DiscoveryEndpoint, map[string]any{"device_authorization_endpoint": nil})
	_, err := e.StartDevice(t.Context(), home)
	wantError(t, err, ErrNoDevice)
	endpoints, err := e.Endpoints()
	must(t, err)
	if endpoints.Device != "" || endpoints.Authorization == "" {
		t.Errorf("endpoints = %+v", endpoints)
	}
}

func TestWhatIsShownOfALoginOnADeviceIsBounded(t *testing.T) {
	good := deviceAnswer{DeviceCode: "d", UserCode: "U", VerificationURI: "https://id.example.com/", ExpiresIn: 60}
	safe := func(uri string) bool { return strings.HasPrefix(uri, "https://") }
	tests := []struct {
		name   string
		change func(*deviceAnswer)
	}{
		{"no device code", func(a *deviceAnswer) { a.DeviceCode = "" }},
		{"an endless device code", func(a *deviceAnswer) { a.DeviceCode = strings.Repeat("d", 5000) }},
		{"no user code", func(a *deviceAnswer) { a.UserCode = "" }},
		{"an endless user code", func(a *deviceAnswer) { a.UserCode = strings.Repeat("U", 2000) }},
		{"a user code that steers the terminal", func(a *deviceAnswer) { a.UserCode = "\x1b[2J" }},
		{"a page without TLS", func(a *deviceAnswer) { a.VerificationURI = "http://evil.example.com/" }},
		{"a complete page that is a program", func(a *deviceAnswer) { a.VerificationURIComplete = "file:///bin/sh" }},
		{"no page", func(a *deviceAnswer) { a.VerificationURI = "" }},
		{"no end", func(a *deviceAnswer) { a.ExpiresIn = 0 }},
		{"an end that is past", func(a *deviceAnswer) { a.ExpiresIn = -1e300 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good
			tt.change(&a)
			if d, err := a.login(safe); err == nil {
				t.Errorf("it is shown: %+v", d)
			}
		})
	}
	a := good
	a.ExpiresIn, a.Interval, a.VerificationURI, a.VerificationURL = 1e300, 1e300, "", "https://id.example.com/old"
	d, err := a.login(safe)
	must(t, err)
	if d.Life != maxDeviceLife || d.Interval != maxDeviceInterval || d.VerificationURI != "https://id.example.com/old" {
		t.Errorf("login = %+v", d)
	}
	if d, err = good.login(safe); err != nil || d.Interval != deviceInterval {
		t.Errorf("login = %+v, %v", d, err)
	}
}
