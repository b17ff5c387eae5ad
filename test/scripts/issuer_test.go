package scripts_test

import (
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/rogpeppe/go-internal/testscript"
)

// issuer is an OpenID Connect issuer as a pipeline has one:
//
//	issuer start                  sets $ISSUER
//	issuer token CLAIM=VALUE...   sets $CI_TOKEN, good for 5 minutes
func issuer(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	switch {
	case !neg && len(args) == 1 && args[0] == "start" && w.issuer == nil:
		provider, err := mockoidc.Run()
		ts.Check(err)
		w.issuer = provider
		ts.Setenv("ISSUER", provider.Issuer())
	case !neg && len(args) > 1 && args[0] == "token" && w.issuer != nil:
		now := time.Now()
		claims := jwt.MapClaims{"iss": w.issuer.Issuer(), "sub": "a job", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
		for _, arg := range args[1:] {
			name, value, _ := strings.Cut(arg, "=")
			claims[name] = value
		}
		token, err := w.issuer.Keypair.SignJWT(claims)
		ts.Check(err)
		ts.Setenv("CI_TOKEN", token)
	default:
		usage(ts, "issuer", args, "issuer start, issuer token CLAIM=VALUE...")
	}
}
