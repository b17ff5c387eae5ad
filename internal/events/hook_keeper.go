package events

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/larder-registry/larder/internal/metadata"
)

// Bounds of webhooks.
const (
	// MostWebhooks is how many one project may have.
	MostWebhooks = 20
	maxHookURL   = 2048
	// minHookSecret and maxHookSecret are in bytes.
	minHookSecret = 16
	maxHookSecret = 1024
)

// InvalidError says what is wrong with a webhook that is to be created.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

// NewWebhook is a webhook that is to be created.
type NewWebhook struct {
	Project    metadata.Project
	Name       string
	Repository string // with its project; "" for all of them
	URL        string
	Events     []string // none: all that there are in such a project
	Secret     string   // "": one is made
	Creator    string
}

// CreateStore keeps webhooks.
type CreateStore interface {
	Create(ctx context.Context, w metadata.Webhook, most int) error
}

// Sealer encrypts secrets.
type Sealer interface {
	Seal(project, name, secret string) ([]byte, error)
}

// Creator creates webhooks.
type Creator struct {
	Store  CreateStore
	Sealer Sealer
	// Addresses are those that may be delivered to.
	Addresses func() Addresses
	Now       func() time.Time
}

// Create keeps a webhook, and tells its secret when it had to be made. The error is an
// *InvalidError when something is wrong with it, wraps metadata.ErrExists when there is one
// of that name, and metadata.ErrTooMany when there are MostWebhooks.
func (c *Creator) Create(ctx context.Context, n NewWebhook) (made string, err error) {
	if n.Events, err = chosenEvents(n.Project, n.Events); err != nil {
		return "", err
	}
	if err := c.check(n); err != nil {
		return "", err
	}
	if n.Secret == "" {
		made = rand.Text() + rand.Text()
		n.Secret = made
	}
	sealed, err := c.Sealer.Seal(n.Project.Name, n.Name, n.Secret)
	if err != nil {
		return "", err
	}
	return made, c.Store.Create(ctx, metadata.Webhook{
		Project: n.Project.Name, Name: n.Name, Repository: n.Repository, URL: n.URL, Events: n.Events, Sealed: sealed,
		Creator: n.Creator, CreatedAt: c.Now(),
	}, MostWebhooks)
}

// EventsOf are the events that there are in a project of a kind.
func EventsOf(kind metadata.Kind) []string {
	if kind == metadata.Cache {
		return []string{metadata.EventPullLimit, metadata.EventFillFailed}
	}
	return []string{metadata.EventPush, metadata.EventDelete}
}

func chosenEvents(p metadata.Project, chosen []string) ([]string, error) {
	known := EventsOf(p.Kind)
	if len(chosen) == 0 {
		return known, nil
	}
	for _, event := range chosen {
		if !slices.Contains(known, event) {
			return nil, &InvalidError{fmt.Sprintf("there is no event %.40q in project %s: choose of %s", event, p.Name, strings.Join(known, " and "))}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(chosen))), nil
}

func (c *Creator) check(n NewWebhook) error {
	if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(n.Name) {
		return &InvalidError{"the name of a webhook is of 1 to 63 small letters, digits and hyphens, and begins and ends with a letter or a digit"}
	}
	if n.Secret != "" && (len(n.Secret) < minHookSecret || len(n.Secret) > maxHookSecret || strings.ContainsFunc(n.Secret, unicode.IsControl)) {
		return &InvalidError{fmt.Sprintf("the secret of a webhook is of %d to %d bytes, without control characters; without one, it is made", minHookSecret, maxHookSecret)}
	}
	return c.checkURL(n.URL)
}

// checkURL refuses what nothing can be delivered to. Names are looked up at each delivery.
func (c *Creator) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxHookURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" || u.Opaque != "" {
		return &InvalidError{fmt.Sprintf("the URL of a webhook begins with https:// or http://, has a host and no fragment, and is of %d bytes at most", maxHookURL)}
	}
	if u.User != nil {
		return &InvalidError{"the URL of a webhook has no user and no password, since URLs are shown and logged: let the receiver check the signature"}
	}
	host := u.Hostname()
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil //nolint:nilerr // it is a name
	}
	if err := c.Addresses().Check(address); err != nil {
		return &InvalidError{err.Error()}
	}
	return nil
}
