package oidctest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/oauth2-proxy/mockoidc"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// devices is the device flow of an issuer.
type devices struct {
	issuer *Issuer
	server *httptest.Server

	mu      sync.Mutex
	begun   []*device
	confirm bool // the next login that is asked for
}

// device is one login.
type device struct {
	code, userCode, scope string
	confirmed             *mockoidc.Session // nil: not yet
	denied, used          bool
}

func startDevices(i *Issuer) *devices {
	d := &devices{issuer: i}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /device", d.begin)
	mux.HandleFunc("GET /activate", d.activate)
	d.server = httptest.NewServer(mux)
	return d
}

// DeviceEndpoint is where a device begins a login.
func (i *Issuer) DeviceEndpoint() string { return i.devices.server.URL + "/device" }

// Deny refuses the logins that have begun.
func (i *Issuer) Deny() {
	i.devices.mu.Lock()
	defer i.devices.mu.Unlock()
	for _, d := range i.devices.begun {
		d.denied = true
	}
}

// Confirm confirms the next login on a device once it was asked for.
func (i *Issuer) Confirm() {
	i.devices.mu.Lock()
	defer i.devices.mu.Unlock()
	i.devices.confirm = true
}

// advertised is the discovery document with the device flow in it.
func (d *devices) advertised(document []byte) []byte {
	fields := map[string]any{}
	_ = json.Unmarshal(document, &fields) // mockoidc writes JSON
	fields["device_authorization_endpoint"] = d.issuer.DeviceEndpoint()
	document, _ = json.Marshal(fields)
	return document
}

// client tells whether a request names the client and its secret.
func (d *devices) client(w http.ResponseWriter, r *http.Request) bool {
	if r.FormValue("client_id") == d.issuer.ClientID && r.FormValue("client_secret") == d.issuer.ClientSecret {
		return true
	}
	answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	return false
}

func (d *devices) begin(w http.ResponseWriter, r *http.Request) {
	if !d.client(w, r) {
		return
	}
	begun := &device{code: rand.Text(), userCode: rand.Text()[:8], scope: r.FormValue("scope")}
	d.mu.Lock()
	d.begun = append(d.begun, begun)
	d.mu.Unlock()
	page := d.server.URL + "/activate"
	answer(w, http.StatusOK, map[string]any{
		"device_code": begun.code, "user_code": begun.userCode,
		"verification_uri": page, "verification_uri_complete": page + "?user_code=" + begun.userCode,
		"expires_in": 600, "interval": 1,
	})
}

// activate is the page on which people confirm a login; opening it does.
func (d *devices) activate(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.begun {
		if one.userCode == r.FormValue("user_code") && one.confirmed == nil {
			if err := d.connect(one); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = w.Write([]byte("The device is connected.\n"))
			return
		}
	}
	http.Error(w, "there is no such code", http.StatusNotFound)
}

// connect logs in on a device who is next.
func (d *devices) connect(one *device) (err error) {
	one.confirmed, err = d.issuer.SessionStore.NewSession(one.scope, "", d.issuer.UserQueue.Pop(), "", "")
	return err
}

// token answers whether a login was confirmed.
func (d *devices) token(w http.ResponseWriter, r *http.Request) {
	if !d.client(w, r) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.begun {
		switch {
		case one.code != r.FormValue("device_code") || one.used:
		case one.denied:
			answer(w, http.StatusBadRequest, map[string]any{"error": "access_denied"})
			return
		case one.confirmed == nil:
			answer(w, http.StatusBadRequest, map[string]any{"error": "authorization_pending"})
			if d.confirm {
				d.confirm = d.connect(one) != nil
			}
			return
		default:
			one.used = true
			text, err := one.confirmed.IDToken(d.issuer.Config(), d.issuer.Keypair, d.issuer.Now())
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			answer(w, http.StatusOK, map[string]any{"access_token": "x", "token_type": "bearer", "id_token": text})
			return
		}
	}
	answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
}

func answer(w http.ResponseWriter, status int, fields map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields)
}
