package authn

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// handsOut has the issuer hand out a token.
func (e *entrance) handsOut(token string) {
	e.issuer.SpoilFields(mockoidc.TokenEndpoint, map[string]any{"id_token": token})
}

func TestATokenThatIsNotTheIssuersOrNotForThisLoginLogsNobodyIn(t *testing.T) {
	tests := []struct {
		name   string
		change func(c jwt.MapClaims)
		want   error
	}{
		{"for another client", func(c jwt.MapClaims) { c["aud"] = "another" }, ErrTokenInvalid},
		{"for nobody", func(c jwt.MapClaims) { delete(c, "aud") }, ErrTokenInvalid},
		{"for several, and given to another", func(c jwt.MapClaims) { c["azp"] = "another" }, ErrLogin},
		{"with the nonce of another login", func(c jwt.MapClaims) { c["nonce"] = "of another login" }, ErrLogin},
		{"without a nonce", func(c jwt.MapClaims) { delete(c, "nonce") }, ErrLogin},
		{"of another issuer", func(c jwt.MapClaims) { c["iss"] = "https://evil.example.com" }, ErrTokenInvalid},
		{"expired", func(c jwt.MapClaims) { c["exp"] = 1 }, ErrTokenExpired},
		{"that never expires", func(c jwt.MapClaims) { delete(c, "exp") }, ErrTokenExpired},
		{"for nobody in particular", func(c jwt.MapClaims) { delete(c, "sub") }, ErrLogin},
		{"for somebody with an endless name", func(c jwt.MapClaims) { c["sub"] = strings.Repeat("s", 256) }, ErrLogin},
		{"for somebody whose name is no text", func(c jwt.MapClaims) { c["sub"] = "a\x00b" }, ErrLogin},
	}
	e := newEntrance(t)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := e.sentBack(t, jane())
			e.issuer.SpoilIDToken(tt.change)
			_, err := e.LogInByCode(t.Context(), l, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			wantError(t, err, ErrLogin)
			wantError(t, err, tt.want)
		})
	}
}

func TestAForgedTokenLogsNobodyIn(t *testing.T) {
	e := newEntrance(t)
	now := e.clock.Now()
	claims := jwt.MapClaims{
		"iss": e.issuer.Issuer(), "aud": e.issuer.ClientID, "sub": "s-1", "preferred_username": "jane",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	stranger, err := mockoidc.NewKeypair(key)
	must(t, err)
	stranger.Kid, err = e.issuer.Keypair.KeyID()
	must(t, err)
	public, err := e.issuer.Keypair.JWKS()
	must(t, err)
	forge := map[string]func() (string, error){
		"with another key": func() (string, error) { return stranger.SignJWT(claims) },
		"without a signature": func() (string, error) {
			return jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
		},
		"with the public key as a shared secret": func() (string, error) {
			return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(public)
		},
		"that is no token":  func() (string, error) { return "no token", nil },
		"that is not there": func() (string, error) { return "", nil },
		"that is this house's": func() (string, error) {
			id, c := login(t, e.Authenticator)
			token, _, err := e.Issue(t.Context(), id, c, nil, time.Minute)
			return token, err
		},
	}
	for name, make := range forge {
		t.Run(name, func(t *testing.T) {
			l := e.sentBack(t, jane())
			l.Nonce = ""
			token, err := make()
			must(t, err)
			e.handsOut(token)
			_, err = e.LogInByCode(t.Context(), l, home)
			wantError(t, err, ErrLogin)
		})
	}
	// The same claims with the issuer's own key would have been good.
	l := e.sentBack(t, jane())
	l.Nonce = ""
	token, err := e.issuer.Keypair.SignJWT(claims)
	must(t, err)
	e.handsOut(token)
	_, err = e.LogInByCode(t.Context(), l, home)
	must(t, err)
}

func TestACodeIsGoodOnceAndWithItsVerifierOnly(t *testing.T) {
	e := newEntrance(t)
	l := e.sentBack(t, jane())
	_, err := e.LogInByCode(t.Context(), l, home)
	must(t, err)
	_, err = e.LogInByCode(t.Context(), l, home)
	wantError(t, err, ErrLogin)
	stolen := e.sentBack(t, jane())
	stolen.Verifier = strings.Repeat("guessed--", 6)
	_, err = e.LogInByCode(t.Context(), stolen, home)
	wantError(t, err, ErrLogin)
}

func TestPeopleAreSentBackToTheirOwnMachineOnly(t *testing.T) {
	e := newEntrance(t)
	good := e.sentBack(t, jane())
	for _, uri := range []string{
		"https://evil.example.com/callback", "http://evil.example.com:80/callback", "http://127.0.0.1.evil.example.com:80/", "http://localhost.evil.example.com:80/",
		"http://127.0.0.1:80@evil.example.com:80/", "http://evil.example.com:80/#http://127.0.0.1:80/", "http://127.0.0.1/", "https://127.0.0.1:80/",
		"http://127.0.0.1:80/?next=evil", "http://0.0.0.0:80/", "http://10.0.0.1:80/", "urn:ietf:wg:oauth:2.0:oob", "javascript:alert(1)", "http://[::ffff:10.0.0.1]:80/", "",
	} {
		l := good
		l.RedirectURI = uri
		if _, err := e.LogInByCode(t.Context(), l, home); !errors.Is(err, ErrRedirect) {
			t.Errorf("%q: error = %v, want %v", uri, err, ErrRedirect)
		}
	}
	for _, uri := range []string{"http://127.0.0.1:1234/callback", "http://[::1]:1234/callback", "http://localhost:1234"} {
		if !loopbackURI(uri) {
			t.Errorf("%q is refused", uri)
		}
	}
}

func TestAnIssuerThatLiesOrFloodsIsOneThatDoesNotAnswer(t *testing.T) {
	huge := func(a oidctest.Answer) oidctest.Answer {
		a.Body = append(bytes.Repeat([]byte(" "), 2<<20), a.Body...)
		return a
	}
	fields := func(path string, f map[string]any) func(*oidctest.Issuer) {
		return func(i *oidctest.Issuer) { i.SpoilFields(path, f) }
	}
	tests := []struct {
		name  string
		spoil func(i *oidctest.Issuer)
	}{
		{"it says to be another", fields(mockoidc.DiscoveryEndpoint, map[string]any{"issuer": "https://evil.example.com"})},
		{"its token endpoint has no TLS", fields(mockoidc.DiscoveryEndpoint, map[string]any{"token_endpoint": "http://evil.example.com/token"})},
		{"its authorization endpoint is a program", fields(mockoidc.DiscoveryEndpoint, map[string]any{"authorization_endpoint": "file:///bin/sh"})},
		{"its device endpoint has no TLS", fields(mockoidc.DiscoveryEndpoint, map[string]any{"device_authorization_endpoint": "http://evil.example.com/device"})},
		{"its keys have no TLS", fields(mockoidc.DiscoveryEndpoint, map[string]any{"jwks_uri": "http://evil.example.com/keys"})},
		{"it has no keys", fields(mockoidc.DiscoveryEndpoint, map[string]any{"jwks_uri": nil})},
		{"it has no token endpoint", fields(mockoidc.DiscoveryEndpoint, map[string]any{"token_endpoint": nil})},
		{"its discovery document is huge", func(i *oidctest.Issuer) { i.Spoil(mockoidc.DiscoveryEndpoint, huge) }},
		{"its answer is huge", func(i *oidctest.Issuer) { i.Spoil(mockoidc.TokenEndpoint, huge) }},
		{"its answer is no JSON", func(i *oidctest.Issuer) {
			i.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer {
				return oidctest.Answer{Status: http.StatusOK, Body: []byte("<html>")}
			})
		}},
		{"it sends the secret elsewhere", func(i *oidctest.Issuer) {
			i.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer {
				return oidctest.Answer{Status: http.StatusTemporaryRedirect}
			})
		}},
		{"it fails", func(i *oidctest.Issuer) {
			i.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer {
				return oidctest.Answer{Status: http.StatusInternalServerError}
			})
		}},
		{"it does not know the registry, and repeats its secret", func(i *oidctest.Issuer) {
			i.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer {
				return oidctest.Answer{Status: http.StatusUnauthorized, Body: []byte(`{"error":"invalid_client","error_description":"no ` + i.ClientSecret + `"}`)}
			})
		}},
	}
	e := newEntrance(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := e.sentBack(t, jane())
			tt.spoil(e.issuer)
			defer e.issuer.Spoil(mockoidc.DiscoveryEndpoint, nil)
			defer e.issuer.Spoil(mockoidc.TokenEndpoint, nil)
			fresh := NewOIDC(e.Authenticator, e.db.Users, e.OIDCConfig)
			_, err := fresh.LogInByCode(t.Context(), l, home)
			unknown, ok := errors.AsType[*UnknownError](err)
			if !ok {
				t.Fatalf("error = %v, want an *UnknownError", err)
			}
			wantText(t, unknown.Public(), e.issuer.Issuer())
			for _, secret := range []string{e.issuer.ClientSecret, l.Code, l.Verifier} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestHugeKeysOfTheIssuerAreNotRead(t *testing.T) {
	e := newEntrance(t)
	l := e.sentBack(t, jane())
	e.issuer.Spoil(mockoidc.JWKSEndpoint, func(a oidctest.Answer) oidctest.Answer {
		a.Body = append(bytes.Repeat([]byte(" "), 2<<20), a.Body...)
		return a
	})
	_, err := e.LogInByCode(t.Context(), l, home)
	wantError(t, err, ErrLogin)
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestTheIssuersFaultIsNobodysFailedLogin(t *testing.T) {
	e := newEntrance(t)
	l := e.sentBack(t, jane())
	e.issuer.Spoil(mockoidc.TokenEndpoint, func(oidctest.Answer) oidctest.Answer { return oidctest.Answer{Status: 500} })
	for range 20 {
		_, err := e.LogInByCode(t.Context(), l, home)
		if _, ok := errors.AsType[*UnknownError](err); !ok {
			t.Fatalf("error = %v", err)
		}
	}
}

func TestTheRegistryNamesItselfAsTheIssuerWantsIt(t *testing.T) {
	tests := []struct {
		name, secret string
		methods      any
		basic        bool
	}{
		{"in the form", "s/ecret", []string{"client_secret_basic", "client_secret_post"}, false},
		{"as Basic", "s/ecret", []string{"client_secret_basic"}, true},
		{"as Basic, which is what OpenID Connect has by default", "s/ecret", nil, true},
		{"as a public client", "", nil, false},
	}
	e := newEntrance(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := e.OIDCConfig
			c.ClientID, c.ClientSecret = "the client", tt.secret
			o := NewOIDC(e.Authenticator, e.db.Users, c)
			e.issuer.SpoilFields(mockoidc.DiscoveryEndpoint, map[string]any{"token_endpoint_auth_methods_supported": tt.methods})
			p, err := o.provider()
			must(t, err)
			r, err := o.request(t.Context(), p, p.Token, map[string][]string{"grant_type": {"x"}})
			must(t, err)
			must(t, r.ParseForm())
			user, password, basic := r.BasicAuth()
			if basic != tt.basic || basic && (user != "the+client" || password != "s%2Fecret") {
				t.Errorf("Basic = %q, %q, %t", user, password, basic)
			}
			if want := map[bool]string{false: tt.secret}[basic]; r.PostForm.Get("client_secret") != want {
				t.Errorf("form = %v", r.PostForm)
			}
		})
	}
}

func TestClaimsOfTheWrongKindAreToldToWhoLogsIn(t *testing.T) {
	many := make([]string, maxGroups+1)
	for i := range many {
		many[i] = "g"
	}
	text, err := json.Marshal(many)
	must(t, err)
	tests := []struct{ name, claims, want string }{
		{"groups in a mapping", `{"groups": {"a": true}}`, "is no list of names"},
		{"groups that are numbers", `{"groups": [1]}`, "has something else than names"},
		{"groups that another server tells", `{"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example.com"}}}`, "told by another server"},
		{"groups without end", `{"groups": ` + string(text) + `}`, "has 1001 groups, and 1000 is the most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c claimSet
			must(t, json.Unmarshal([]byte(tt.claims), &c))
			_, err := c.groups("groups")
			refusal, ok := errors.AsType[*LoginError](err)
			if !ok {
				t.Fatalf("error = %v", err)
			}
			wantText(t, refusal.Reason, tt.want)
		})
	}
}

func TestThePersonsNameComesFromTheFirstClaimThereIs(t *testing.T) {
	tests := []struct{ name, claim, claims, want string }{
		{"preferred_username", "", `{"sub": "1", "email": "a@example.com", "preferred_username": "alice"}`, "alice"},
		{"no preferred_username", "", `{"sub": "1", "email": "a@example.com"}`, "a@example.com"},
		{"an email that is verified", "", `{"sub": "1", "email": "a@example.com", "email_verified": true}`, "a@example.com"},
		{"an email that is verified in a text", "", `{"sub": "1", "email": "a@example.com", "email_verified": "true"}`, "a@example.com"},
		{"an email that is not verified", "", `{"sub": "1", "email": "a@example.com", "email_verified": false}`, "1"},
		{"an email of which something else is said", "", `{"sub": "1", "email": "a@example.com", "email_verified": 1}`, "1"},
		{"nothing but a subject", "", `{"sub": "1"}`, "1"},
		{"a name that is no text", "", `{"sub": "1", "preferred_username": ["admin"]}`, "1"},
		{"the claim that was chosen", "nick", `{"sub": "1", "preferred_username": "alice", "nick": "ally"}`, "ally"},
		{"the claim that was chosen is not there", "nick", `{"sub": "1", "preferred_username": "alice"}`, ""},
		{"the chosen email is not verified", "email", `{"sub": "1", "email": "a@example.com", "email_verified": false}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c claimSet
			must(t, json.Unmarshal([]byte(tt.claims), &c))
			got, err := c.userName(tt.claim)
			_, refused := errors.AsType[*LoginError](err)
			if got != tt.want || refused != (tt.want == "") {
				t.Errorf("userName = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
