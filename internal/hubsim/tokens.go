package hubsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const tokenPurpose = "token"

// Why a registry request's token does not do.
var (
	errNoToken      = errors.New("no token")
	errBadToken     = errors.New("token not signed here")
	errExpiredToken = errors.New("token expired")
)

// caller is who sends a request.
type caller struct {
	account string // empty for strangers
	address string // what an anonymous caller is metered by
	token   grant
	problem error // why there is no good token; registry only
}

// grant is what a token says: who it is for and what may be pulled with it.
type grant struct {
	ID           string   `json:"jti"`
	Account      string   `json:"sub,omitempty"`
	Repositories []string `json:"pull,omitempty"`
	Expires      int64    `json:"exp"` // Unix nanoseconds
}

// scope is one resource scope of a token request (Docker Registry v2 token
// authentication, "Token Scope Documentation").
type scope struct {
	kind, name string
	actions    []string
}

func scopesOf(query url.Values) []scope {
	var scopes []scope
	for _, text := range strings.Fields(strings.Join(query["scope"], " ")) {
		kind, rest, _ := strings.Cut(text, ":")
		cut := strings.LastIndexByte(rest, ':')
		if cut < 0 {
			continue
		}
		scopes = append(scopes, scope{kind: kind, name: rest[:cut], actions: strings.Split(rest[cut+1:], ",")})
	}
	return scopes
}

// identify finds out who is calling, as far as the request tells.
func (h *Hub) identify(t target, r *http.Request) caller {
	c := caller{address: address(r.RemoteAddr)}
	switch t.service {
	case Auth:
		username, _, _ := r.BasicAuth()
		if _, known := h.options.account(username); known {
			c.account = username
		}
	case Registry:
		c.token, c.problem = h.verify(r.Header.Get("Authorization"))
		c.account = c.token.Account
	}
	return c
}

func (h *Hub) verify(authorization string) (grant, error) {
	kind, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" {
		return grant{}, errNoToken
	}
	payload, signature, _ := strings.Cut(token, ".")
	if !h.signer.valid(tokenPurpose, payload, signature) {
		return grant{}, errBadToken
	}
	var g grant
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(raw, &g) != nil {
		return grant{}, errBadToken
	}
	if h.options.Clock().UnixNano() >= g.Expires {
		return g, errExpiredToken
	}
	return g, nil
}

// tokenAnswer is the token service's answer (Docker Registry v2 token
// authentication, "Requesting a Token").
type tokenAnswer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	IssuedAt    string `json:"issued_at"`
}

func (h *Hub) serveAuth(w http.ResponseWriter, r *http.Request, t target, _ caller) {
	if t.path != TokenPath {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	account, ok := h.login(r)
	if !ok {
		refuseLogin(w)
		return
	}
	now := h.options.Clock()
	token := h.issue(account, scopesOf(r.URL.Query()), now)
	writeJSON(w, http.StatusOK, tokenAnswer{
		Token: token, AccessToken: token,
		ExpiresIn: int64((h.options.TokenLife + time.Second - 1) / time.Second),
		IssuedAt:  now.UTC().Format(time.RFC3339Nano),
	})
}

// login checks the password, if one came; without one the caller is a
// stranger.
func (h *Hub) login(r *http.Request) (string, bool) {
	username, password, given := r.BasicAuth()
	if !given {
		return "", r.Header.Get("Authorization") == ""
	}
	account, known := h.options.account(username)
	return username, known && account.Password == password
}

func refuseLogin(w http.ResponseWriter) {
	writeJSON(w, http.StatusUnauthorized, map[string]string{"details": "incorrect username or password"})
}

// issue makes a token for those of the scopes that are granted; the others
// are left out without a word.
func (h *Hub) issue(account string, scopes []scope, now time.Time) string {
	g := grant{ID: rand.Text(), Account: account, Expires: now.Add(h.options.TokenLife).UnixNano()}
	for _, s := range scopes {
		if s.kind == "repository" && slices.Contains(s.actions, "pull") && h.mayPull(account, s.name) == nil {
			g.Repositories = append(g.Repositories, s.name)
		}
	}
	// Strings and numbers always marshal.
	raw, _ := json.Marshal(g)
	payload := base64.RawURLEncoding.EncodeToString(raw)
	return payload + "." + h.signer.sign(tokenPurpose, payload)
}

// Why a repository is not shown.
var (
	errRepositoryMissing = errors.New("repository does not exist")
	errRepositoryPrivate = errors.New("repository is private")
)

func (h *Hub) mayPull(account, repository string) error {
	exists, private := h.store.visibility(repository)
	if !exists {
		return errRepositoryMissing
	}
	if !private {
		return nil
	}
	known, ok := h.options.account(account)
	may, set := h.store.reader(repository, account)
	if ok && (may || !set && slices.Contains(known.Repositories, repository)) {
		return nil
	}
	return errRepositoryPrivate
}
