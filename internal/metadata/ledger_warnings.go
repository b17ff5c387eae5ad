package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Unwarned is the level of an account that nobody was warned of.
const Unwarned = 101

// Warn notes that an account has fallen to a level, in percent of its limit. It is true
// for who notes it first: of several processes one has to tell. The webhooks of the
// upstream's cache project hear of it, in the words of text.
func (ls *Ledger) Warn(ctx context.Context, of LedgerAccount, level int, at time.Time, text string) (first bool, err error) {
	err = ls.store.update(ctx, func(tx *sql.Tx) error {
		if first, err = warn(ctx, tx, of, level); err != nil || !first {
			return err
		}
		return ls.store.tell(ctx, tx, Event{Kind: EventPullLimit, Project: of.Upstream, Detail: text, At: at})
	})
	if err != nil {
		return false, failed(err, "noting a warning of upstream %s", of.Upstream)
	}
	return first, nil
}

func warn(ctx context.Context, tx *sql.Tx, of LedgerAccount, level int) (first bool, err error) {
	changed, err := change(ctx, tx, `
		INSERT INTO ledger_warnings AS w (upstream, credential, source, level) VALUES ($1, $2, $3, $4)
		ON CONFLICT (upstream, credential, source) DO UPDATE SET level = excluded.level WHERE w.level > excluded.level`,
		of.Upstream, of.Credential, of.Source, level)
	return changed > 0, err
}

// Rearm notes that an account has risen again, so that levels below this one are warned of
// anew; Unwarned stands for all.
func (ls *Ledger) Rearm(ctx context.Context, of LedgerAccount, level int) error {
	_, err := ls.store.change(ctx, `
		UPDATE ledger_warnings SET level = $4 WHERE upstream = $1 AND credential = $2 AND source = $3 AND level < $4`,
		of.Upstream, of.Credential, of.Source, level)
	if err != nil {
		return failed(err, "noting that upstream %s has pulls left again", of.Upstream)
	}
	return nil
}
