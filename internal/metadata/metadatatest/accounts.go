package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func accounts(t *testing.T, open func(t *testing.T) *metadata.DB) {
	ci := metadata.User{Name: "system:serviceaccount:demo:ci", Project: "demo", CreatedAt: noon}
	carol := metadata.User{Name: "carol", Issuer: "https://login.example.com", Subject: "42", CreatedAt: noon}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a service account is its project's, and listed there alone": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), ci))
			ok(t, db.Users.Create(t.Context(), carol))
			same(t, ci, must[metadata.User](t)(db.Users.Get(t.Context(), ci.Name)))
			same(t, []metadata.User{ci}, must[[]metadata.User](t)(db.Users.List(t.Context(), "demo", "", many)))
			same(t, []metadata.User{carol}, must[[]metadata.User](t)(db.Users.List(t.Context(), "", "", many)))
			same(t, nil, must[[]metadata.User](t)(db.Users.List(t.Context(), "", "carol", many)))
			notFound(t, db.Users.Create(t.Context(), metadata.User{Name: "x", Project: "nowhere"}))
		},
		"an issuer's name for somebody is given once": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), carol))
			same(t, carol, must[metadata.User](t)(db.Users.BySubject(t.Context(), carol.Issuer, carol.Subject)))
			alreadyThere(t, db.Users.Create(t.Context(), metadata.User{Name: "other", Issuer: carol.Issuer, Subject: carol.Subject}))
			notFound(t, second(db.Users.BySubject(t.Context(), "https://elsewhere.example.com", carol.Subject)))
			for _, name := range []string{"local", "local2"} { // no issuer, no subject
				ok(t, db.Users.Create(t.Context(), metadata.User{Name: name}))
			}
		},
		"a locked account is let in again": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), carol))
			ok(t, db.Users.SetDisabled(t.Context(), "carol", true))
			same(t, true, must[metadata.User](t)(db.Users.Get(t.Context(), "carol")).Disabled)
			ok(t, db.Users.SetDisabled(t.Context(), "carol", false))
			same(t, carol, must[metadata.User](t)(db.Users.Get(t.Context(), "carol")))
			notFound(t, db.Users.SetDisabled(t.Context(), "dave", true))
		},
		"a deleted account takes its tokens along": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), ci))
			ok(t, db.Tokens.Create(t.Context(), metadata.Token{ID: "t1", Hash: []byte{1}, User: ci.Name, CreatedAt: noon}))
			ok(t, db.Users.Delete(t.Context(), ci.Name))
			notFound(t, db.Users.Delete(t.Context(), ci.Name))
			notFound(t, second(db.Tokens.Get(t.Context(), "t1")))
		},
		"a token has its limits, what is said of it, and when it was used": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), ci))
			want := metadata.Token{
				ID: "t1", Hash: []byte{1}, User: ci.Name, Name: "build", Description: "pipeline",
				Scopes: []string{"read", "write"}, Targets: []string{"demo/app", "demo/team-*"}, CreatedAt: noon,
			}
			ok(t, db.Tokens.Create(t.Context(), want))
			same(t, want, must[metadata.Token](t)(db.Tokens.ByHash(t.Context(), want.Hash)))
			ok(t, db.Tokens.Describe(t.Context(), "t1", "build 2", "the pipeline"))
			ok(t, db.Tokens.Used(t.Context(), map[string]time.Time{"t1": noon.Add(time.Minute), "gone": noon}))
			ok(t, db.Tokens.Used(t.Context(), map[string]time.Time{"t1": noon}))
			want.Name, want.Description, want.UsedAt = "build 2", "the pipeline", noon.Add(time.Minute)
			same(t, want, must[metadata.Token](t)(db.Tokens.Get(t.Context(), "t1")))
			notFound(t, db.Tokens.Describe(t.Context(), "t2", "", ""))
		},
	})
}
