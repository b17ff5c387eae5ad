package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// credentialKeyFile is where the key is made when none is configured.
	credentialKeyFile = "credential.key"
	// credentialsEvery is how often it is looked whether another process has changed
	// credentials.
	credentialsEvery = 200 * time.Millisecond
)

// credentialKey finds the secret that passwords of upstreams are encrypted by: what is
// configured, else a file of the data folder. Servers that share a database do not share
// a folder, so that there it has to be configured.
func (f *floor) credentialKey(configured Password) credentials.KeySource {
	var making sync.Mutex
	return func(create bool) ([]byte, error) {
		if configured != "" {
			return []byte(configured), nil
		}
		if f.DB.Shared() {
			return nil, credentials.ErrNoKey
		}
		making.Lock()
		defer making.Unlock()
		name := f.Data.Path(credentialKeyFile)
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			if !create {
				return nil, credentials.ErrNoKey
			}
			text = hex.AppendEncode(nil, []byte(rand.Text()+rand.Text()))
			err = writeFile(name, text, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("the key that passwords are encrypted by: %w", err)
		}
		return text, nil
	}
}

// lender gives upstreams the credentials that were added in flight.
type lender struct {
	server *Server
	keeper *credentials.Keeper

	mu   sync.Mutex // held by who gives them
	shut map[credentialID]bool
}

// credentialID is what a credential is found by.
type credentialID struct{ upstream, project, username string }

// give reads all credentials and gives them to the upstreams of a generation.
func (l *lender) give(ctx context.Context, to []openUpstream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	open, shut, err := l.keeper.Open(ctx)
	if err != nil {
		return err
	}
	l.report(shut)
	for _, u := range to {
		u.remote.SetAdded(open[u.Name])
	}
	return nil
}

// report tells once of each credential whose password cannot be read.
func (l *lender) report(shut []metadata.UpstreamCredential) {
	was := l.shut
	l.shut = map[credentialID]bool{}
	for _, c := range shut {
		key := credentialID{c.Upstream, c.Project, c.Username}
		l.shut[key] = true
		if !was[key] {
			l.server.log.Error("the password of a credential cannot be read, since it was encrypted by another key: set LARDER_CREDENTIAL_KEY or restore "+credentialKeyFile+", or add the credential again",
				"upstream", c.Upstream, "project", c.Project, "credential", c.Username)
		}
	}
}

// watch hears of what other processes change, until ctx ends.
func (l *lender) watch(ctx context.Context) {
	tick := time.NewTicker(credentialsEvery)
	defer tick.Stop()
	var given metadata.Mark
	failing := false // so that the log hears of a failure once
	for {
		if mark := l.server.floor.DB.Changes.Credentials(); mark != given {
			err := l.giveCurrent(ctx)
			if err == nil {
				given = mark
			} else if !failing && ctx.Err() == nil {
				l.server.log.Warn("the credentials for upstreams could not be read; it is tried again and again", "error", err)
			}
			failing = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *lender) giveCurrent(ctx context.Context) error {
	g := l.server.generation()
	defer g.requests.Done()
	return l.give(ctx, g.upstreams)
}

// Put keeps a credential, which counts from the next request on.
func (l *lender) Put(ctx context.Context, to string, c upstream.Credential, creator string) (added bool, err error) {
	added, err = l.keeper.Put(ctx, to, c, creator)
	if err != nil {
		return false, err
	}
	return added, l.giveCurrent(ctx)
}

// Delete forgets a credential.
func (l *lender) Delete(ctx context.Context, from, project, username string) error {
	if err := l.keeper.Delete(ctx, from, project, username); err != nil {
		return err
	}
	return l.giveCurrent(ctx)
}

// List tells of all credentials, those of the configuration first, and how they stand.
func (l *lender) List(ctx context.Context) ([]credentials.Listed, error) {
	kept, err := l.keeper.All(ctx)
	if err != nil {
		return nil, err
	}
	var all []credentials.Listed
	standing := map[credentialID]upstream.Budget{}
	for _, u := range l.server.budgets() {
		for _, b := range u.Credentials {
			if b.Configured {
				all = append(all, credentials.Listed{
					UpstreamCredential: metadata.UpstreamCredential{Upstream: u.Name, Username: b.Username},
					Configured:         true, Used: true, Budget: b,
				})
			} else {
				standing[credentialID{u.Name, b.Project, b.Username}] = b
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range kept {
		id := credentialID{c.Upstream, c.Project, c.Username}
		b, used := standing[id]
		all = append(all, credentials.Listed{UpstreamCredential: c, Used: used, Unreadable: l.shut[id], Budget: b})
	}
	return all, nil
}

// recordRefusal puts into the audit log that an upstream refuses a credential.
func (f *floor) recordRefusal(of string, c upstream.Credential, by string) {
	f.events.Record(context.Background(), events.Event{
		Actor: oci.UserSelf, Action: "refuse-credential", Project: c.Project, Object: "upstreams/" + of, Result: events.Done,
		Detail: fmt.Sprintf("%s refused the credential of %s: it is not used any more until it is corrected", by, c),
	})
}
