package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func users(t *testing.T, open func(t *testing.T) *metadata.DB) {
	alice := metadata.User{Name: "alice", PasswordHash: "first", Generation: 1, CreatedAt: noon}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a user comes back as created": func(t *testing.T, db *metadata.DB) {
			bob := metadata.User{Name: "bob", PasswordHash: "x", CreatedAt: noon, Disabled: true}
			same(t, 0, must[int](t)(db.Users.Count(t.Context())))
			ok(t, db.Users.Create(t.Context(), alice))
			ok(t, db.Users.Create(t.Context(), bob))
			same(t, alice, must[metadata.User](t)(db.Users.Get(t.Context(), "alice")))
			same(t, bob, must[metadata.User](t)(db.Users.Get(t.Context(), "bob")))
			same(t, 2, must[int](t)(db.Users.Count(t.Context())))
			notFound(t, second(db.Users.Get(t.Context(), "carol")))
		},
		"a user's name is given once": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), alice))
			alreadyThere(t, db.Users.Create(t.Context(), metadata.User{Name: "alice", PasswordHash: "mallory's"}))
			same(t, alice, must[metadata.User](t)(db.Users.Get(t.Context(), "alice")))
		},
		"a name that is no text is nobody's": func(t *testing.T, db *metadata.DB) {
			for _, name := range []string{"\xff", "ali\x00ce"} {
				notFound(t, second(db.Users.Get(t.Context(), name)))
				notFound(t, second(db.Manifests.Get(t.Context(), name, manifest("one").Digest)))
				same(t, nil, must[[]string](t)(db.Tags.List(t.Context(), name, "", many)))
				same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), name)))
			}
			ok(t, db.Ping(t.Context()))
		},
		"a new password is a new generation": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), alice))
			ok(t, db.Users.SetPassword(t.Context(), "alice", "second"))
			want := alice
			want.PasswordHash, want.Generation = "second", 2
			same(t, want, must[metadata.User](t)(db.Users.Get(t.Context(), "alice")))
			notFound(t, db.Users.SetPassword(t.Context(), "bob", "x"))
		},
	})
}

func tokens(t *testing.T, open func(t *testing.T) *metadata.DB) {
	forever := metadata.Token{ID: "t1", Hash: []byte{0, 1}, User: "alice", Description: "CI", CreatedAt: noon}
	short := metadata.Token{ID: "t2", Hash: []byte{0, 2}, User: "alice", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	with := func(run func(t *testing.T, db *metadata.DB)) func(t *testing.T, db *metadata.DB) {
		return func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), metadata.User{Name: "alice"}))
			ok(t, db.Tokens.Create(t.Context(), short))
			ok(t, db.Tokens.Create(t.Context(), forever))
			run(t, db)
		}
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a token is found by ID and by hash": with(func(t *testing.T, db *metadata.DB) {
			same(t, forever, must[metadata.Token](t)(db.Tokens.Get(t.Context(), "t1")))
			same(t, short, must[metadata.Token](t)(db.Tokens.ByHash(t.Context(), []byte{0, 2})))
			notFound(t, second(db.Tokens.Get(t.Context(), "t3")))
			notFound(t, second(db.Tokens.ByHash(t.Context(), []byte{0, 3})))
		}),
		"a token's ID and hash are given once": with(func(t *testing.T, db *metadata.DB) {
			alreadyThere(t, db.Tokens.Create(t.Context(), metadata.Token{ID: "t1", Hash: []byte("new"), User: "alice"}))
			alreadyThere(t, db.Tokens.Create(t.Context(), metadata.Token{ID: "new", Hash: []byte{0, 1}, User: "alice"}))
		}),
		"a token needs its user": with(func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Tokens.Create(t.Context(), metadata.Token{ID: "new", Hash: []byte("new"), User: "bob"}))
		}),
		"a user's tokens are listed": with(func(t *testing.T, db *metadata.DB) {
			ok(t, db.Users.Create(t.Context(), metadata.User{Name: "bob"}))
			same(t, []metadata.Token{forever, short}, must[[]metadata.Token](t)(db.Tokens.List(t.Context(), "alice")))
			same(t, nil, must[[]metadata.Token](t)(db.Tokens.List(t.Context(), "bob")))
		}),
		"a deleted token is gone": with(func(t *testing.T, db *metadata.DB) {
			ok(t, db.Tokens.Delete(t.Context(), "t1"))
			notFound(t, db.Tokens.Delete(t.Context(), "t1"))
			same(t, []metadata.Token{short}, must[[]metadata.Token](t)(db.Tokens.List(t.Context(), "alice")))
		}),
		"expired tokens are deleted, those that never expire stay": with(func(t *testing.T, db *metadata.DB) {
			ok(t, db.Tokens.DeleteExpired(t.Context(), short.ExpiresAt))
			same(t, []metadata.Token{forever, short}, must[[]metadata.Token](t)(db.Tokens.List(t.Context(), "alice")))
			ok(t, db.Tokens.DeleteExpired(t.Context(), short.ExpiresAt.Add(time.Microsecond)))
			same(t, []metadata.Token{forever}, must[[]metadata.Token](t)(db.Tokens.List(t.Context(), "alice")))
		}),
	})
}

func keys(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"signing keys come back, the newest first": func(t *testing.T, db *metadata.DB) {
			first := metadata.SigningKey{ID: "b", Secret: []byte{0, 1}, CreatedAt: noon}
			last := metadata.SigningKey{ID: "a", Secret: []byte{0, 2}, CreatedAt: noon.Add(time.Hour)}
			same(t, nil, must[[]metadata.SigningKey](t)(db.Keys.All(t.Context())))
			ok(t, db.Keys.Add(t.Context(), first))
			ok(t, db.Keys.Add(t.Context(), last))
			alreadyThere(t, db.Keys.Add(t.Context(), first))
			same(t, []metadata.SigningKey{last, first}, must[[]metadata.SigningKey](t)(db.Keys.All(t.Context())))
		},
	})
}
