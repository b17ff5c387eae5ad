package scripts_test

import (
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// issuer is an OpenID Connect issuer as pipelines and people have one:
//
//	issuer start                  sets $ISSUER, and $CLIENT_ID and $CLIENT_SECRET, the registry's there
//	issuer token CLAIM=VALUE...   sets $CI_TOKEN, good for 5 minutes
//	issuer user SUB NAME GROUP... says who logs in next
//	issuer confirm                confirms the next login on a device once it was asked for
//	issuer spoil FIELD=VALUE...   changes what the issuer says of itself
func issuer(ts *testscript.TestScript, neg bool, args []string) {
	const known = "issuer start, issuer token CLAIM=VALUE..., issuer user SUB NAME GROUP..., issuer confirm, issuer spoil FIELD=VALUE..."
	w := worldOf(ts)
	switch what := strings.Join(args[:min(len(args), 1)], ""); {
	case neg:
		usage(ts, "! issuer", args, known)
	case what == "start" && len(args) == 1 && w.issuer == nil:
		startIssuer(ts)
	case w.issuer == nil:
		ts.Fatalf("no issuer runs")
	case what == "token" && len(args) > 1:
		ts.Setenv("CI_TOKEN", jobToken(ts, w.issuer, args[1:]))
	case what == "user" && len(args) > 2:
		w.issuer.QueueUser(&mockoidc.MockUser{Subject: args[1], PreferredUsername: args[2], Groups: args[3:]})
	case what == "confirm" && len(args) == 1:
		w.issuer.Confirm()
	case what == "spoil" && len(args) > 1:
		w.issuer.SpoilFields(mockoidc.DiscoveryEndpoint, pairs(args[1:]))
	default:
		usage(ts, "issuer", args, known)
	}
}

func startIssuer(ts *testscript.TestScript) {
	provider, err := oidctest.Start()
	ts.Check(err)
	worldOf(ts).issuer = provider
	ts.Setenv("ISSUER", provider.Issuer())
	ts.Setenv("CLIENT_ID", provider.ClientID)
	ts.Setenv("CLIENT_SECRET", provider.ClientSecret)
}

// jobToken is what the issuer gives to a job.
func jobToken(ts *testscript.TestScript, provider *oidctest.Issuer, args []string) string {
	now := time.Now()
	claims := jwt.MapClaims{"iss": provider.Issuer(), "sub": "a job", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range pairs(args) {
		claims[name] = value
	}
	token, err := provider.Keypair.SignJWT(claims)
	ts.Check(err)
	return token
}

func pairs(args []string) map[string]any {
	all := map[string]any{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		all[name] = value
	}
	return all
}
