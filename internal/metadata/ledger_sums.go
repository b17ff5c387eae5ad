package metadata

import (
	"context"
	"net/http"
	"time"
)

// LedgerSum is what calls come to.
type LedgerSum struct {
	Key   string // what they have in common: a user, a project, ...
	Calls int64
	// Pulls are those that upstreams count by requests, Metered those of them that told of
	// a limit, and Images those that upstreams count by architecture.
	Pulls, Metered, Images int64
	Refused                int64 // by the upstream, for too many pulls or requests
	Bytes                  int64
	// Checks, Blobs and Tokens are the calls of these kinds; certain the pulls of users
	// who were logged in.
	Checks, Blobs, Tokens int64
	Certain               int64
}

// add counts one call, as far as an hour's sums tell of it.
func (s *LedgerSum) add(c LedgerCall) {
	count := func(to *int64, is bool) {
		if is {
			*to++
		}
	}
	s.Calls++
	s.Bytes += c.Bytes
	count(&s.Pulls, c.Counted)
	count(&s.Metered, c.Counted && c.Rate != nil)
	count(&s.Images, c.Image)
	count(&s.Refused, c.Status == http.StatusTooManyRequests)
}

// LedgerKey is what sums of calls are made by.
type LedgerKey string

// The keys. Clients are known for as long as single calls are kept.
const (
	LedgerUser      LedgerKey = "user_name"
	LedgerProject   LedgerKey = "project"
	LedgerImage     LedgerKey = "repository"
	LedgerNamespace LedgerKey = "namespace"
	LedgerClient    LedgerKey = "client"
)

// Sums adds up the calls of an upstream since a time, by a key, the most pulls first.
func (ls *Ledger) Sums(ctx context.Context, upstream string, by LedgerKey, since time.Time, limit int) ([]LedgerSum, error) {
	sums, err := list(ctx, ls.store, scanLedgerSum, `
		SELECT `+string(by)+`, count(*),
			coalesce(sum(CASE WHEN counted THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN counted AND rate_limit IS NOT NULL THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN image THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN status = 429 THEN 1 ELSE 0 END), 0), CAST(coalesce(sum(bytes), 0) AS BIGINT),
			`+kindSums("1")+`,
			coalesce(sum(CASE WHEN counted AND certain THEN 1 ELSE 0 END), 0)
		FROM ledger_calls WHERE upstream = $1 AND at >= $2
		GROUP BY `+string(by)+` ORDER BY 3 DESC, 2 DESC, 1 LIMIT $3`, upstream, since.UnixMicro(), limit)
	if err != nil {
		return nil, failed(err, "adding up the ledger of upstream %s", upstream)
	}
	return sums, nil
}

// HourSums is Sums from the sums of whole hours, which are kept for longer: the hour that
// since is in counts whole. They know no clients.
func (ls *Ledger) HourSums(ctx context.Context, upstream string, by LedgerKey, since time.Time, limit int) ([]LedgerSum, error) {
	total := func(column string) string { return "CAST(coalesce(sum(" + column + "), 0) AS BIGINT)" }
	sums, err := list(ctx, ls.store, scanLedgerSum, `
		SELECT `+string(by)+`, `+total("calls")+`, `+total("pulls")+`, `+total("metered")+`, `+total("images")+`, `+total("refused")+`, `+total("bytes")+`,
			`+kindSums("calls")+`, `+total("CASE WHEN certain THEN pulls ELSE 0 END")+`
		FROM ledger_hours WHERE upstream = $1 AND hour >= $2
		GROUP BY `+string(by)+` ORDER BY 3 DESC, 2 DESC, 1 LIMIT $3`, upstream, since.UTC().Truncate(time.Hour).UnixMicro(), limit)
	if err != nil {
		return nil, failed(err, "adding up the ledger of upstream %s", upstream)
	}
	return sums, nil
}

// kindSums adds up calls by their kinds; calls says how many a row stands for.
func kindSums(calls string) string {
	of := func(kinds string) string {
		return "CAST(coalesce(sum(CASE WHEN kind IN (" + kinds + ") THEN " + calls + " ELSE 0 END), 0) AS BIGINT)"
	}
	return of("'manifest_head'") + ", " + of("'blob'") + ", " + of("'token'")
}

func scanLedgerSum(r row) (LedgerSum, error) {
	var s LedgerSum
	err := r.Scan(&s.Key, &s.Calls, &s.Pulls, &s.Metered, &s.Images, &s.Refused, &s.Bytes, &s.Checks, &s.Blobs, &s.Tokens, &s.Certain)
	return s, err
}
