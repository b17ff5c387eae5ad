package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// book is a store in memory.
type book struct{ rows []metadata.UpstreamCredential }

func (b *book) Put(_ context.Context, c metadata.UpstreamCredential, _ int) (bool, error) {
	b.rows = append(b.rows, c)
	return true, nil
}

func (b *book) All(context.Context) ([]metadata.UpstreamCredential, error) {
	return append([]metadata.UpstreamCredential(nil), b.rows...), nil
}

func (b *book) Delete(context.Context, string, string, string) error { return nil }

func keyed(secret string) credentials.KeySource {
	return func(bool) ([]byte, error) { return []byte(secret), nil }
}

const secret = "0123456789abcdef0123456789abcdef"

var (
	acme = upstream.Credential{Username: "acme", Password: "acme-secret", Project: "demo"}
	all  = upstream.Credential{Username: "all", Password: "other-secret"}
)

func kept(t *testing.T, k *credentials.Keeper, some ...upstream.Credential) {
	t.Helper()
	for _, c := range some {
		if added, err := k.Put(t.Context(), "docker-hub", c, "alice"); err != nil || !added {
			t.Fatalf("%s: added %v, %v", c, added, err)
		}
	}
}

func TestPasswordsAreKeptEncryptedAndComeBack(t *testing.T) {
	b := &book{}
	k := credentials.New(b, keyed(secret), nil)
	kept(t, k, acme, all)
	for _, row := range b.rows {
		if bytes.Contains(row.Sealed, []byte("secret")) {
			t.Errorf("the password of %s is readable", row.Username)
		}
	}
	open, shut, err := k.Open(t.Context())
	if err != nil || len(shut) > 0 {
		t.Fatalf("%d are shut, %v", len(shut), err)
	}
	if diff := cmp.Diff(map[string][]upstream.Credential{"docker-hub": {acme, all}}, open); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	told, err := k.All(t.Context())
	if err != nil || len(told) != 2 || told[0].Sealed != nil || b.rows[0].Sealed == nil {
		t.Errorf("a list tells %+v, %v", told, err)
	}
}

func TestTheSamePasswordIsSealedDifferentlyEachTime(t *testing.T) {
	b := &book{}
	kept(t, credentials.New(b, keyed(secret), nil), acme, acme)
	if bytes.Equal(b.rows[0].Sealed, b.rows[1].Sealed) {
		t.Error("two rows have the same text")
	}
}

func TestWhatCannotBeReadIsSetApart(t *testing.T) {
	tests := map[string]struct {
		key   credentials.KeySource
		spoil func(*metadata.UpstreamCredential)
	}{
		"another key":     {key: keyed(strings.ToUpper(secret))},
		"no key":          {key: func(bool) ([]byte, error) { return nil, credentials.ErrNoKey }},
		"another user":    {spoil: func(c *metadata.UpstreamCredential) { c.Username = "mallory" }},
		"another project": {spoil: func(c *metadata.UpstreamCredential) { c.Project = "evil" }},
		"everybody's":     {spoil: func(c *metadata.UpstreamCredential) { c.Project = "" }},
		"cut off":         {spoil: func(c *metadata.UpstreamCredential) { c.Sealed = c.Sealed[:5] }},
		"changed":         {spoil: func(c *metadata.UpstreamCredential) { c.Sealed[len(c.Sealed)-1] ^= 1 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := &book{}
			kept(t, credentials.New(b, keyed(secret), nil), acme)
			key := keyed(secret)
			if test.key != nil {
				key = test.key
			}
			if test.spoil != nil {
				test.spoil(&b.rows[0])
			}
			open, shut, err := credentials.New(b, key, nil).Open(t.Context())
			if err != nil || len(open) != 0 || len(shut) != 1 {
				t.Errorf("%d are open, %d are shut, %v", len(open), len(shut), err)
			}
		})
	}
}

func TestWhatIsNoCredentialIsRefused(t *testing.T) {
	tests := []struct {
		username, password string
		want               error
	}{
		{"", "x", credentials.ErrUsername},
		{"a:b", "x", credentials.ErrUsername},
		{"a b", "x", credentials.ErrUsername},
		{"a\x1b[2J", "x", credentials.ErrUsername},
		{strings.Repeat("a", 256), "x", credentials.ErrUsername},
		{"acme", "", credentials.ErrPassword},
		{"acme", "x\ny", credentials.ErrPassword},
		{"acme", strings.Repeat("x", 4097), credentials.ErrPassword},
	}
	for _, test := range tests {
		b := &book{}
		_, err := credentials.New(b, keyed(secret), nil).Put(t.Context(), "docker-hub", upstream.Credential{Username: test.username, Password: test.password}, "alice")
		if !errors.Is(err, test.want) || len(b.rows) > 0 {
			t.Errorf("%.20q with %d bytes: %v, want %v", test.username, len(test.password), err, test.want)
		}
	}
}

func TestWithoutAKeyNothingIsKept(t *testing.T) {
	b := &book{}
	_, err := credentials.New(b, func(bool) ([]byte, error) { return nil, credentials.ErrNoKey }, nil).Put(t.Context(), "docker-hub", acme, "alice")
	if !errors.Is(err, credentials.ErrNoKey) || len(b.rows) > 0 {
		t.Errorf("got %v, and %d rows", err, len(b.rows))
	}
}
