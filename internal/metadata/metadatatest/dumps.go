package metadatatest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
)

func dumps(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a loaded dump is the database that was dumped": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			want, summary := dumped(t, db)
			t.Run("another", func(t *testing.T) {
				other := open(t)
				same(t, true, must[bool](t)(other.Empty(t.Context())))
				same(t, summary, must[metadata.DumpSummary](t)(other.Load(t.Context(), strings.NewReader(want), nil)))
				same(t, false, must[bool](t)(other.Empty(t.Context())))
				got, _ := dumped(t, other)
				same(t, want, got)
				// It counts on from the ids that were loaded.
				ok(t, other.Repositories.Create(t.Context(), "demo/later"))
				ok(t, put(t.Context(), other, "demo/later", manifest("later"), "latest"))
			})
		},
		"a dump shows one moment, whatever is written meanwhile": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			want, _ := dumped(t, db)
			got := &meddler{meddle: func() {
				ok(t, db.Blobs.Put(t.Context(), blob("meanwhile"), "demo/meanwhile"))
				ok(t, put(t.Context(), db, "demo/app", manifest("meanwhile"), "latest"))
			}}
			_, err := db.Dump(t.Context(), got)
			ok(t, err)
			same(t, want, got.String())
		},
		"what is under way is not dumped": func(t *testing.T, db *metadata.DB) {
			want, _ := dumped(t, db)
			ok(t, db.Uploads.Create(t.Context(), metadata.Upload{ID: "u1", Repository: "demo/app", CreatedAt: noon, UpdatedAt: noon}))
			got, _ := dumped(t, db)
			same(t, want, got)
		},
		"the bytes of blobs may be elsewhere than they were": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			text, want := dumped(t, db)
			t.Run("another", func(t *testing.T) {
				other := open(t)
				_, err := other.Load(t.Context(), strings.NewReader(text), func(b metadata.Blob) (string, error) { return "new-" + b.Key, nil })
				ok(t, err)
				b := blob("one")
				b.Key = "new-" + b.Key
				same(t, b, must[metadata.Blob](t)(other.Blobs.Held(t.Context(), b.Digest)))
				_, got := dumped(t, other)
				same(t, want, got)
			})
		},
		"a blob whose bytes are nowhere is linked, and readable once it is stored again": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			text, _ := dumped(t, db)
			t.Run("another", func(t *testing.T) {
				other, lost := open(t), blob("one")
				_, err := other.Load(t.Context(), strings.NewReader(text), func(b metadata.Blob) (string, error) {
					if b.Digest == lost.Digest {
						return "", metadata.ErrLeaveOut
					}
					return b.Key, nil
				})
				ok(t, err)
				notFound(t, second(other.Blobs.Get(t.Context(), "demo/app", lost.Digest)))
				ok(t, other.Blobs.Put(t.Context(), lost))
				same(t, lost, must[metadata.Blob](t)(other.Blobs.Get(t.Context(), "demo/app", lost.Digest)))
			})
		},
		"keys change all at once or not at all": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			before, _ := dumped(t, db)
			if err := db.Blobs.Rekey(t.Context(), func(b metadata.Blob) (string, error) {
				if b.Digest == blob("two").Digest {
					return "", errors.New("it was not moved")
				}
				return "new", nil
			}); err == nil {
				t.Error("a blob without a new key has none now")
			}
			after, _ := dumped(t, db)
			same(t, before, after)
			ok(t, db.Blobs.Rekey(t.Context(), func(b metadata.Blob) (string, error) { return "new-" + b.Key, nil }))
			b := blob("two")
			b.Key = "new-" + b.Key
			same(t, b, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
		"a database that holds something is not loaded": func(t *testing.T, db *metadata.DB) {
			before, _ := dumped(t, db)
			_, err := db.Load(t.Context(), strings.NewReader(before), nil)
			if !errors.Is(err, metadata.ErrNotEmpty) {
				t.Errorf("got the error %v", err)
			}
			after, _ := dumped(t, db)
			same(t, before, after)
		},
		"a dump that was cut off or changed leaves the database empty": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			whole, _ := dumped(t, db)
			t.Run("another", func(t *testing.T) {
				other := open(t)
				for _, spoiled := range spoiledDumps(whole) {
					if _, err := other.Load(t.Context(), strings.NewReader(spoiled), nil); err == nil {
						t.Fatalf("a dump of %d instead of %d bytes was loaded", len(spoiled), len(whole))
					}
				}
				same(t, true, must[bool](t)(other.Empty(t.Context())))
			})
		},
	})
}

// Fill puts something into every table that a dump has and that db has calls for.
// The projects demo and hub are there already.
func Fill(t testing.TB, db *metadata.DB) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(db.Blobs.Put(ctx, blob("one"), "demo/app", "hub/library/app"))
	check(db.Blobs.Put(ctx, blob("two"), "demo/ünïcode\u2028<&>"))
	for _, text := range []string{"first", "second"} {
		check(put(ctx, db, "demo/app", manifest(text), "latest", text))
	}
	check(db.Users.Create(ctx, metadata.User{Name: "alice", PasswordHash: "$argon2id$<&>", Generation: 3, CreatedAt: noon, Disabled: true}))
	check(db.Users.Create(ctx, metadata.User{Name: "bob"}))
	check(db.Tokens.Create(ctx, metadata.Token{ID: "t1", Hash: []byte{0, 1, 0xff}, User: "alice", Description: "\"CI\"\n\\", CreatedAt: noon}))
	check(db.Users.Create(ctx, metadata.User{Name: "system:serviceaccount:demo:ci", Project: "demo", CreatedAt: noon}))
	check(db.Tokens.Create(ctx, metadata.Token{ID: "t2", Hash: []byte{2}, User: "bob", Name: "CI", Scopes: []string{"read"}, Targets: []string{"demo/app"}}))
	check(db.Groups.Create(ctx, metadata.Group{Name: "devs", CreatedAt: noon}))
	check(db.Groups.AddMember(ctx, "devs", "bob"))
	check(db.Users.ClaimGroups(ctx, "bob", []string{"ops"}, noon))
	check(db.Roles.Create(ctx, metadata.Role{Project: "demo", Name: "puller", Rules: "[]", CreatedAt: noon}))
	check(db.RoleBindings.Create(ctx, metadata.RoleBinding{Project: "demo", Name: "pullers", RoleKind: "Role", RoleName: "puller", Subjects: "[]", CreatedAt: noon}))
	check(db.Imports.Set(ctx, metadata.Import{Repository: "demo/app", Tag: "7", Source: "docker.io/library/app:7", Scheduled: true, Member: true, CreatedAt: noon}))
	check(db.Audit.Append(ctx, metadata.AuditEntry{At: noon, Actor: "alice", Action: "create projects", Result: "done"}))
	check(db.Ledger.Book(ctx, []metadata.LedgerCall{call("alice", pull), call("")}))
	check(db.Keys.Add(ctx, metadata.SigningKey{ID: "k1", Secret: []byte{0xff, 0}, CreatedAt: noon}))
}

func dumped(t testing.TB, db *metadata.DB) (string, metadata.DumpSummary) {
	t.Helper()
	var text bytes.Buffer
	summary, err := db.Dump(context.WithoutCancel(t.Context()), &text)
	if err != nil {
		t.Fatal(err)
	}
	return text.String(), summary
}

// spoiledDumps are dumps that lack lines at their ends, have half a line there, or
// have a byte changed.
func spoiledDumps(whole string) []string {
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	all := []string{
		whole[:len(whole)-1],
		strings.Replace(whole, "alice", "mallo", 1),
		strings.Replace(whole, `"size"`, `"digest"`, 1),
		strings.Replace(whole, lines[len(lines)-2], "", 1),
	}
	for i := range lines {
		before := strings.Join(lines[:i], "")
		all = append(all, before, before+lines[i][:len(lines[i])/2])
	}
	return all
}

// meddler is written to, and meddles when the first line has come.
type meddler struct {
	bytes.Buffer
	meddle func()
}

func (m *meddler) Write(p []byte) (int, error) {
	// The snapshot is taken by the first query, which has been made by now.
	if m.Len() == 0 {
		m.meddle()
	}
	return m.Buffer.Write(p)
}
