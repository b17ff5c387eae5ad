package authn

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func TestLoginsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metadata.db")
	start := func() (*Authenticator, *metadata.DB) {
		t.Helper()
		db, err := metadata.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder"})
		if err != nil {
			t.Fatal(err)
		}
		return a, db
	}

	a, db := start()
	if _, err := a.EnsureAdmin(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	secret, access, err := a.CreateToken(t.Context(), NewToken{User: UserAdmin, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	token := issue(t, a, pullApp, 5*time.Minute)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	a, db = start()
	t.Cleanup(func() { _ = db.Close() })
	login(t, a)
	for _, bearer := range []string{secret, token} {
		if id, _, err := a.Verify(t.Context(), bearer); err != nil || id.User != UserAdmin {
			t.Errorf("Verify = %+v, %v", id, err)
		}
	}
	if err := a.RevokeToken(t.Context(), access.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, a, secret, ErrTokenInvalid)
	if _, err := a.SetPassword(t.Context(), UserAdmin, "new one"); err != nil {
		t.Fatal(err)
	}
	refused(t, a, token, ErrTokenInvalid)
}
