package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// announcement is what a process tells the others that it has changed: something of a
// repository, of accounts when it has no name, of who may do what, or of credentials for
// upstreams.
type announcement struct {
	repository string
}

// These are no repository's names, so that a program that does not know them takes them
// for a repository that it does not have.
const (
	accessAnnounced      = "/access"
	credentialsAnnounced = "/credentials"
)

func ofRepository(name string) announcement { return announcement{repository: name} }

// ofAccounts is for users, groups, tokens and signing keys.
func ofAccounts() announcement { return announcement{} }

// ofAccess is for roles, role bindings and projects.
func ofAccess() announcement { return announcement{repository: accessAnnounced} }

// ofCredentials is for the credentials for upstreams.
func ofCredentials() announcement { return announcement{repository: credentialsAnnounced} }

// signed is a text that says who tells it, so that nobody forgets what he has just written.
func signed(process, text string) string { return process + " " + text }

// signer takes such a text apart.
func signer(payload string) (process, text string) {
	process, text, _ = strings.Cut(payload, " ")
	return process, text
}

// announce tells other processes of a change once the transaction is committed.
func (s *store) announce(ctx context.Context, tx *sql.Tx, a announcement) error {
	if s.notify == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, s.notify, changesChannel, signed(s.process, a.repository)); err != nil {
		return fmt.Errorf("telling other processes: %w", err)
	}
	return nil
}

// changeAnnounced is change for what other processes keep in memory.
func (s *store) changeAnnounced(ctx context.Context, a announcement, query string, args ...any) (int64, error) {
	var changed int64
	err := s.update(ctx, func(tx *sql.Tx) error {
		var err error
		if changed, err = change(ctx, tx, query, args...); err != nil || changed == 0 {
			return err
		}
		return s.announce(ctx, tx, a)
	})
	return changed, err
}
