package events

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// shelf keeps one webhook and seals nothing.
type shelf struct{ kept metadata.Webhook }

func (s *shelf) Create(_ context.Context, w metadata.Webhook, _ int) error {
	s.kept = w
	return nil
}

func (s *shelf) Seal(project, name, secret string) ([]byte, error) {
	return []byte(project + "/" + name + " " + secret), nil
}

func newCreator() (*Creator, *shelf) {
	s := &shelf{}
	return &Creator{Store: s, Sealer: s, Addresses: func() Addresses { return Addresses{} }, Now: func() time.Time { return noon }}, s
}

func valid() NewWebhook {
	return NewWebhook{Project: metadata.Project{Name: "demo", Kind: metadata.Hosted}, Name: "ci", URL: "https://ci.example/hook", Secret: "a secret of sixteen", Creator: "alice"}
}

func TestAWebhookIsKeptWithItsSecretSealed(t *testing.T) {
	c, s := newCreator()
	made, err := c.Create(t.Context(), valid())
	if err != nil || made != "" {
		t.Fatalf("got %q, %v", made, err)
	}
	if w := s.kept; string(w.Sealed) != "demo/ci a secret of sixteen" || !slices.Equal(w.Events, []string{"push", "delete"}) || w.CreatedAt != noon || w.Creator != "alice" {
		t.Errorf("kept is %+v", w)
	}
	without := valid()
	without.Secret, without.Project.Kind = "", metadata.Cache
	made, err = c.Create(t.Context(), without)
	if err != nil || len(made) < 40 || string(s.kept.Sealed) != "demo/ci "+made {
		t.Fatalf("made was %q, %v", made, err)
	}
	if !slices.Equal(s.kept.Events, []string{"pull-limit", "fill-failed"}) {
		t.Errorf("a cache's webhook hears of %v", s.kept.Events)
	}
}

func TestAWebhookThatCannotBeIsRefused(t *testing.T) {
	for want, change := range map[string]func(*NewWebhook){
		"the name of a webhook":              func(n *NewWebhook) { n.Name = "CI" },
		"name of a webhook is of 1 to 63":    func(n *NewWebhook) { n.Name = "a/b" },
		"begins with https:// or http://":    func(n *NewWebhook) { n.URL = "ftp://ci.example" },
		"has a host":                         func(n *NewWebhook) { n.URL = "https:///hook" },
		"and no fragment":                    func(n *NewWebhook) { n.URL = "https://ci.example/#x" },
		"of 2048 bytes at most":              func(n *NewWebhook) { n.URL = "https://ci.example/" + strings.Repeat("x", 2048) },
		"no user and no password":            func(n *NewWebhook) { n.URL = "https://ci:pw@ci.example/" },
		"127.0.0.1, which is loopback":       func(n *NewWebhook) { n.URL = "http://localhost:8080/" },
		"::1, which is loopback":             func(n *NewWebhook) { n.URL = "http://[::1]/" },
		"169.254.169.254, which is link-loc": func(n *NewWebhook) { n.URL = "http://169.254.169.254/latest" },
		"10.0.0.1, which is not public":      func(n *NewWebhook) { n.URL = "http://10.0.0.1/" },
		`no event "pull-limit" in project`:   func(n *NewWebhook) { n.Events = []string{"push", "pull-limit"} },
		"secret of a webhook is of 16":       func(n *NewWebhook) { n.Secret = "short" },
		"without control characters":         func(n *NewWebhook) { n.Secret = "a secret\nof sixteen" },
	} {
		c, s := newCreator()
		n := valid()
		change(&n)
		_, err := c.Create(t.Context(), n)
		if _, invalid := errors.AsType[*InvalidError](err); !invalid || !strings.Contains(err.Error(), want) || s.kept.Name != "" {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
