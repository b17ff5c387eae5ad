package authn

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/testkit"
)

var errStore = errors.New("the disk is gone")

// memory is every store that an Authenticator needs. Setting fault makes all of
// its methods fail.
type memory struct {
	mu     sync.Mutex
	fault  error
	people map[string]metadata.User
	tokens []metadata.Token
	keys   []metadata.SigningKey // newest first
	reads  int                   // of the keys
}

type (
	userStore  struct{ *memory }
	tokenStore struct{ *memory }
	keyStore   struct{ *memory }
)

func (m *memory) locked(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return m.fault
	}
	return f()
}

func (s userStore) Create(_ context.Context, u metadata.User) error {
	return s.locked(func() error {
		if _, ok := s.people[u.Name]; ok {
			return metadata.ErrExists
		}
		s.people[u.Name] = u
		return nil
	})
}

func (s userStore) Get(_ context.Context, name string) (u metadata.User, err error) {
	err = s.locked(func() error {
		var ok bool
		if u, ok = s.people[name]; !ok {
			return metadata.ErrNotFound
		}
		return nil
	})
	return u, err
}

func (s userStore) SetPassword(_ context.Context, name, hash string) error {
	return s.locked(func() error {
		u, ok := s.people[name]
		if !ok {
			return metadata.ErrNotFound
		}
		u.PasswordHash = hash
		u.Generation++
		s.people[name] = u
		return nil
	})
}

func (s tokenStore) Create(_ context.Context, t metadata.Token) error {
	return s.locked(func() error {
		s.tokens = append(s.tokens, t)
		return nil
	})
}

func (s tokenStore) find(match func(metadata.Token) bool) (t metadata.Token, err error) {
	err = s.locked(func() error {
		i := slices.IndexFunc(s.tokens, match)
		if i < 0 {
			return metadata.ErrNotFound
		}
		t = s.tokens[i]
		return nil
	})
	return t, err
}

func (s tokenStore) ByHash(_ context.Context, hash []byte) (metadata.Token, error) {
	return s.find(func(t metadata.Token) bool { return bytes.Equal(t.Hash, hash) })
}

func (s tokenStore) Get(_ context.Context, id string) (metadata.Token, error) {
	return s.find(func(t metadata.Token) bool { return t.ID == id })
}

func (s tokenStore) Delete(_ context.Context, id string) error {
	return s.locked(func() error {
		before := len(s.tokens)
		s.tokens = slices.DeleteFunc(s.tokens, func(t metadata.Token) bool { return t.ID == id })
		if len(s.tokens) == before {
			return metadata.ErrNotFound
		}
		return nil
	})
}

func (s tokenStore) Used(_ context.Context, at map[string]time.Time) error {
	return s.locked(func() error {
		for i, t := range s.tokens {
			if used, ok := at[t.ID]; ok {
				s.tokens[i].UsedAt = used
			}
		}
		return nil
	})
}

func (s keyStore) Add(_ context.Context, k metadata.SigningKey) error {
	return s.locked(func() error {
		s.keys = slices.Insert(s.keys, 0, k)
		return nil
	})
}

func (s keyStore) All(context.Context) (all []metadata.SigningKey, err error) {
	err = s.locked(func() error {
		s.reads++
		all = slices.Clone(s.keys)
		return nil
	})
	return all, err
}

// adminIdentity is who the user admin is.
func adminIdentity() Identity {
	return Identity{User: UserAdmin, Groups: []string{GroupAuthenticated, GroupMasters}}
}

const testPassword = "correct horse"

// newServer is one server on store; several may share it. The user admin exists.
func newServer(t *testing.T, store *memory, c *testkit.Clock) *Authenticator {
	t.Helper()
	a, err := New(Config{Users: userStore{store}, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.EnsureAdmin(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	return a
}

func newTest(t *testing.T) (*Authenticator, *memory, *testkit.Clock) {
	t.Helper()
	store := &memory{people: map[string]metadata.User{}}
	c := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	return newServer(t, store, c), store, c
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error = %v, want %v", got, want)
	}
}

// login logs in with the admin's password.
func login(t *testing.T, a *Authenticator) (Identity, Credential) {
	t.Helper()
	id, c, err := a.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return id, c
}
