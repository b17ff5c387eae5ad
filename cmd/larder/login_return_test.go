package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const testIssuer = "https://id.example.com"

func waitForReturn(t *testing.T) *returning {
	t.Helper()
	b, err := listenForReturn(t.Context(), 0, "the state", testIssuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// comeBack is a browser that was sent back with a query; change may spoil the request.
func comeBack(t *testing.T, b *returning, query url.Values, change func(*http.Request)) (status int, page string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.address()+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestTheBrowserComesBackWithACode(t *testing.T) {
	b := waitForReturn(t)
	status, page := comeBack(t, b, url.Values{"state": {"the state"}, "code": {"the code"}, "iss": {testIssuer}}, nil)
	if status != 200 || !strings.Contains(page, "You may close this window.") || strings.Contains(page, "the code") {
		t.Errorf("the page has status %d: %s", status, page)
	}
	code, err := b.wait(t.Context())
	if code != "the code" || err != nil {
		t.Errorf("code = %q, %v", code, err)
	}
}

func TestWhatWasNotBegunHereChangesNothing(t *testing.T) {
	b := waitForReturn(t)
	tests := []struct {
		name   string
		query  url.Values
		change func(*http.Request)
		want   int
	}{
		{"another state", url.Values{"state": {"another"}, "code": {"evil"}}, nil, 400},
		{"no state", url.Values{"code": {"evil"}}, nil, 400},
		{"another state and an error", url.Values{"state": {"another"}, "error": {"access_denied"}}, nil, 400},
		{"another issuer", url.Values{"state": {"the state"}, "code": {"evil"}, "iss": {"https://evil.example.com"}}, nil, 400},
		{"a name that somebody has pointed here", url.Values{"state": {"the state"}, "code": {"evil"}}, func(r *http.Request) { r.Host = "evil.example.com" }, 400},
		{"another path", url.Values{"state": {"the state"}, "code": {"evil"}}, func(r *http.Request) { r.URL.Path = "/" }, 404},
		{"another method", url.Values{"state": {"the state"}, "code": {"evil"}}, func(r *http.Request) { r.Method = http.MethodPost }, 405},
	}
	for _, tt := range tests {
		if status, page := comeBack(t, b, tt.query, tt.change); status != tt.want {
			t.Errorf("%s: status = %d, want %d: %s", tt.name, status, tt.want, page)
		}
	}
	// The login still waits, and the first that was begun here counts.
	comeBack(t, b, url.Values{"state": {"the state"}, "code": {"good"}}, nil)
	comeBack(t, b, url.Values{"state": {"the state"}, "code": {"late"}}, nil)
	if code, err := b.wait(t.Context()); code != "good" || err != nil {
		t.Errorf("code = %q, %v", code, err)
	}
}

func TestWhoRefusesAtTheIssuerIsNotLoggedIn(t *testing.T) {
	b := waitForReturn(t)
	_, page := comeBack(t, b, url.Values{"state": {"the state"}, "error": {"access_denied"}, "error_description": {"<b>no\x1b[2J"}}, nil)
	if !strings.Contains(page, "You were not logged in.") || strings.Contains(page, "<b>") {
		t.Errorf("page = %s", page)
	}
	_, err := b.wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), `did not log you in: "access_denied"`) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error = %v", err)
	}
}

func TestNobodyWaitsForTheBrowserForEver(t *testing.T) {
	b := waitForReturn(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if code, err := b.wait(ctx); code != "" || err == nil {
		t.Errorf("code = %q, %v", code, err)
	}
}

func TestTheBrowserComesBackOnThePortThatTheIssuerKnows(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if _, err := listenForReturn(t.Context(), uint16(port), "s", testIssuer); err == nil || !strings.Contains(err.Error(), "waiting for the browser") {
		t.Errorf("on a port that is taken: %v", err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := listenForReturn(t.Context(), uint16(port), "s", testIssuer)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if want := "http://127.0.0.1:" + strconv.Itoa(port) + "/callback"; b.address() != want {
		t.Errorf("address = %q, want %q", b.address(), want)
	}
}

func TestABrowserIsSentToPagesThatNobodyCanReadAlong(t *testing.T) {
	for address, want := range map[string]bool{
		"https://id.example.com/auth": true, "http://127.0.0.1:8080/auth": true, "http://localhost/auth": true,
		"http://id.example.com/auth": false, "file:///etc/passwd": false, "javascript:alert(1)": false, "--version": false, "https:///x": false, "": false,
		"https://id.example.com/\x1b[2J": false,
	} {
		if got := safePage(address); got != want {
			t.Errorf("safePage(%q) = %t", address, got)
		}
	}
}

func TestThereIsABrowserWhereThereIsAScreen(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "xdg-open"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, display, wayland string
		want                         bool
	}{
		{"X", folder, ":0", "", true},
		{"Wayland", folder, "", "wayland-0", true},
		{"no screen", folder, "", "", false},
		{"no program", t.TempDir(), ":0", "", false},
	} {
		t.Setenv("PATH", tt.path)
		t.Setenv("DISPLAY", tt.display)
		t.Setenv("WAYLAND_DISPLAY", tt.wayland)
		if got := browser() != nil; got != tt.want {
			t.Errorf("%s: a browser: %t", tt.name, got)
		}
	}
}
