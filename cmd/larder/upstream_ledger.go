package main

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// ledgerKeys are what --by knows, and what a column of it is called.
func ledgerKeys() []string { return []string{"user", "project", "image", "namespace", "client"} }

// bookedCall is a call and the upstream that it went to.
type bookedCall struct {
	Upstream string `json:"upstream"`
	api.LedgerCall
}

// bookedSum is a sum of the calls to one upstream.
type bookedSum struct {
	Upstream string `json:"upstream"`
	api.LedgerSum
}

// ledgerFlags are what is asked of the ledger.
type ledgerFlags struct {
	by    string
	since duration
	limit int
}

func newUpstreamLedgerCommand() *cobra.Command {
	asked := ledgerFlags{since: duration(24 * time.Hour)}
	output := formatTable
	cmd := &cobra.Command{
		Use:   "ledger [UPSTREAM]",
		Short: "Show what upstreams were asked for, and on whose behalf",
		Long: `Show what upstream registries were asked for: call by call, the newest first, or added
up by who it was for, the most pulls first.

PULLS are what Docker Hub counts: manifests that were asked for by GET. IMAGES are those
of them that are one architecture's and no list of several. CERTAIN are the pulls of users
who were logged in; others were inferred.`,
		Example: `  larder upstream ledger --by user --since 6h
  larder upstream ledger docker-hub --by image --since 7d
  larder upstream ledger --limit 20 -o wide`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asked.by != "" && !slices.Contains(ledgerKeys(), asked.by) {
				return usagef("--by is one of %s", strings.Join(ledgerKeys(), ", "))
			}
			if asked.limit < 1 {
				return usagef("--limit is at least 1")
			}
			return showLedger(cmd, args, asked, output)
		},
	}
	cmd.Flags().StringVar(&asked.by, "by", "", "add up by user, project, image, namespace or client")
	cmd.Flags().Var(&asked.since, "since", "only what is not older, such as 6h or 30d")
	cmd.Flags().IntVar(&asked.limit, "limit", 100, "show at most this many of an upstream")
	addOutputFlag(cmd, &output)
	return cmd
}

func showLedger(cmd *cobra.Command, args []string, asked ledgerFlags, output outputFormat) error {
	upstreams := args
	if len(upstreams) == 0 {
		all, err := listUpstreams(cmd)
		if err != nil {
			return err
		}
		for _, u := range all.Items {
			upstreams = append(upstreams, u.Name)
		}
	}
	calls, sums := []bookedCall{}, []bookedSum{}
	for _, name := range upstreams {
		page, err := readLedger(cmd, name, asked)
		if err != nil {
			return err
		}
		for _, c := range page.Calls {
			calls = append(calls, bookedCall{name, c})
		}
		for _, s := range page.Sums {
			sums = append(sums, bookedSum{name, s})
		}
	}
	if asked.by != "" {
		list := newListing(cmd, output, asked.by)
		return list.print(map[string]any{"items": sums}, sumRows(asked.by, sums).orSay("Nothing is booked."))
	}
	slices.SortStableFunc(calls, func(a, b bookedCall) int { return b.At.Compare(a.At) })
	return newListing(cmd, output, "call").print(map[string]any{"items": calls}, callRows(calls, time.Now()).orSay("Nothing is booked."))
}

// readLedger reads sums, or calls page by page.
func readLedger(cmd *cobra.Command, upstream string, asked ledgerFlags) (whole api.LedgerPage, err error) {
	c, _, err := currentClient()
	if err != nil {
		return api.LedgerPage{}, err
	}
	query := url.Values{"since": {time.Now().Add(-time.Duration(asked.since)).UTC().Format(time.RFC3339)}}
	if asked.by != "" {
		query.Set("by", asked.by)
	}
	for left := asked.limit; left > 0; {
		query.Set("limit", strconv.Itoa(min(left, 1000)))
		var page api.LedgerPage
		if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/upstreams/"+url.PathEscape(upstream)+"/ledger?"+query.Encode(), nil, &page); err != nil {
			return api.LedgerPage{}, err
		}
		whole.Calls, whole.Sums = append(whole.Calls, page.Calls...), append(whole.Sums, page.Sums...)
		left -= len(page.Calls)
		if page.Next == "" || len(page.Calls) == 0 {
			break
		}
		query.Set("after", page.Next)
	}
	return whole, nil
}

func sumRows(by string, all []bookedSum) table {
	t := table{
		header: []string{strings.ToUpper(by), "UPSTREAM", "PULLS", "IMAGES", "CERTAIN", "CHECKS", "BLOBS", "BYTES", "REFUSED"},
		wide:   []string{"UNMETERED", "TOKENS", "CALLS"},
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, s := range all {
		key := cmp.Or(s.Key, "-")
		if by == "user" {
			key = cmp.Or(s.Key, "system:anonymous")
		}
		t.rows = append(t.rows, []string{
			key, s.Upstream, number(s.Pulls), number(s.Images), number(s.CertainPulls), number(s.Checks), number(s.Blobs),
			bytesText(s.Bytes), number(s.Refused), number(s.Unmetered), number(s.Tokens), number(s.Calls),
		})
	}
	return t
}

func callRows(all []bookedCall, now time.Time) table {
	t := table{
		header: []string{"AGE", "UPSTREAM", "KIND", "IMAGE", "STATUS", "BYTES", "CREDENTIAL", "USER", "PROJECT", "CERTAINTY"},
		wide:   []string{"PULL", "REMAINING", "SOURCE", "CLIENT", "NAMESPACE", "WORKLOAD", "TIME"},
	}
	for _, c := range all {
		status, remaining, pull := "none", "-", "no"
		if c.Status != 0 {
			status = strconv.Itoa(c.Status)
		}
		if c.Remaining != nil {
			remaining = strconv.FormatInt(*c.Remaining, 10)
		}
		if c.Counted {
			pull = "yes"
		}
		t.rows = append(t.rows, []string{
			age(now.Sub(c.At)), c.Upstream, c.Kind, calledImage(c.LedgerCall), status, bytesText(c.Bytes), c.Credential,
			cmp.Or(c.User, "system:anonymous"), c.Project, c.Certainty,
			pull, remaining, cmp.Or(c.Source, "-"), cmp.Or(c.Client, "-"), cmp.Or(c.Namespace, "-"), cmp.Or(c.Workload, "-"), c.At.UTC().Format(time.RFC3339),
		})
	}
	return t
}

// calledImage is what a call was about, as images are written; digests are cut.
func calledImage(c api.LedgerCall) string {
	const most = len("sha256:") + 12
	switch {
	case c.Repository == "":
		return "-"
	case c.Reference == "":
		return c.Repository
	case !strings.Contains(c.Reference, ":"):
		return c.Repository + ":" + c.Reference
	}
	return c.Repository + "@" + c.Reference[:min(len(c.Reference), most)]
}
