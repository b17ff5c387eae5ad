// Package oidctest is an OpenID Connect issuer for tests: that of mockoidc, with the device
// flow (RFC 8628) that it has not, and with answers that can be spoiled.
package oidctest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
)

// Answer is what an endpoint answers.
type Answer struct {
	Status int
	Body   []byte
}

// Issuer is one that runs. Its users log in without being asked for anything, in the order
// of QueueUser.
type Issuer struct {
	*mockoidc.MockOIDC
	devices *devices

	mu      sync.Mutex
	spoiled map[string]func(Answer) Answer // by path
	asked   map[string]int                 // by path
}

// Start starts an issuer on a free port of loopback. Close ends it.
func Start() (*Issuer, error) {
	mock, err := mockoidc.NewServer(nil)
	if err != nil {
		return nil, err
	}
	i := &Issuer{MockOIDC: mock, spoiled: map[string]func(Answer) Answer{}, asked: map[string]int{}}
	// It is computed when it is first needed, and kept without a lock.
	if _, err := mock.Keypair.KeyID(); err != nil {
		return nil, err
	}
	i.devices = startDevices(i)
	if err := mock.AddMiddleware(i.middleware); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return i, mock.Start(listener, nil)
}

// Close ends the issuer.
func (i *Issuer) Close() {
	i.devices.server.Close()
	_ = i.Shutdown()
}

// Spoil changes what the endpoint at a path of mockoidc answers from now on.
func (i *Issuer) Spoil(path string, change func(Answer) Answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.spoiled[path] = change
}

// SpoilFields changes the fields of what an endpoint answers; nil removes one.
func (i *Issuer) SpoilFields(path string, fields map[string]any) {
	i.Spoil(path, func(a Answer) Answer {
		all := map[string]any{}
		_ = json.Unmarshal(a.Body, &all) // mockoidc writes JSON
		maps.Copy(all, fields)
		maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
		a.Body, _ = json.Marshal(all)
		return a
	})
}

// SpoilIDToken changes the claims of the tokens that are handed out, and signs them anew.
func (i *Issuer) SpoilIDToken(change func(jwt.MapClaims)) {
	i.Spoil(mockoidc.TokenEndpoint, func(a Answer) Answer {
		var fields map[string]any
		_ = json.Unmarshal(a.Body, &fields)
		text, _ := fields["id_token"].(string)
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(text, claims); err != nil {
			return a // an error was answered
		}
		change(claims)
		fields["id_token"], _ = i.Keypair.SignJWT(claims)
		a.Body, _ = json.Marshal(fields)
		return a
	})
}

// Asked is how often the endpoint at a path was asked.
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// middleware stands in front of mockoidc.
func (i *Issuer) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		if r.URL.Path == mockoidc.TokenEndpoint && r.FormValue("grant_type") == deviceGrant {
			i.devices.token(recorder, r)
		} else {
			next.ServeHTTP(recorder, r)
		}
		a := Answer{Status: recorder.Code, Body: recorder.Body.Bytes()}
		if r.URL.Path == mockoidc.DiscoveryEndpoint {
			a.Body = i.devices.advertised(a.Body)
		}
		i.mu.Lock()
		i.asked[r.URL.Path]++
		if change := i.spoiled[r.URL.Path]; change != nil {
			a = change(a)
		}
		i.mu.Unlock()
		maps.Copy(w.Header(), recorder.Header())
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
		w.WriteHeader(a.Status)
		_, _ = io.Copy(w, bytes.NewReader(a.Body))
	})
}
