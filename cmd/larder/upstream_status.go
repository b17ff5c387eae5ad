package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newUpstreamStatusCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what upstreams have left, and when it runs out",
		Long: `Show how the accounts stand that upstream registries are asked with.

LEFT of LIMIT pulls are left in any WINDOW, by what the upstream said last and what was
pulled since. SOURCE is whom the upstream charges, RESETS when all of it has come free
again if nothing is pulled. BURN/H is how many pulls are spent in an hour at the present
rate, and FORECAST what comes of that. ELSEWHERE is how many pulls others have spent
with the same account. Strangers are the last line of an upstream, once for each address
that they are charged by.

Where pulls are shared out among projects, a second table has what is reserved of each
account, and what projects have as a budget: SPENT OF so many pulls in any WINDOW.`,
		Example: "  larder upstream status\n  larder upstream status -o wide",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := listUpstreams(cmd)
			if err != nil {
				return err
			}
			list := newListing(cmd, output, "upstream")
			if err := list.print(all, upstreamRows(all.Items, time.Now()).orSay("No upstreams are configured.")); err != nil {
				return err
			}
			return list.printShares(shareRows(all.Items))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func listUpstreams(cmd *cobra.Command) (api.UpstreamList, error) {
	var all api.UpstreamList
	c, _, err := currentClient()
	if err == nil {
		err = c.call(cmd.Context(), http.MethodGet, "/api/v1/upstreams", nil, &all)
	}
	return all, err
}

func upstreamRows(all []api.Upstream, now time.Time) table {
	t := table{
		header: []string{"UPSTREAM", "CREDENTIAL", "LEFT", "LIMIT", "WINDOW", "SOURCE", "RESETS", "BURN/H", "FORECAST", "ELSEWHERE", "STATE"},
		wide:   []string{"NEXT FREE", "AS OF", "URL"},
	}
	for _, u := range all {
		for _, a := range u.Accounts {
			t.rows = append(t.rows, append([]string{u.Name}, append(accountCells(a, now), u.URL)...))
		}
	}
	return t
}

// printShares adds a second table, where there is something to tell, for people alone.
func (l listing) printShares(shares table) error {
	if len(shares.rows) == 0 || l.format != formatTable && l.format != formatWide {
		return nil
	}
	if _, err := fmt.Fprintln(l.out); err != nil {
		return err
	}
	return l.print(nil, shares)
}

// shareRows are what is set aside for projects, and what they may spend.
func shareRows(all []api.Upstream) table {
	t := table{header: []string{"UPSTREAM", "PROJECT", "SHARE", "CREDENTIAL", "SPENT", "OF", "WINDOW"}}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	seconds := func(n int64) string { return span(time.Duration(n) * time.Second) }
	for _, u := range all {
		for _, a := range u.Accounts {
			for _, r := range a.Reserves {
				t.rows = append(t.rows, []string{u.Name, r.Project, "reserve", a.Credential, number(r.Spent), number(r.Reserved), seconds(a.WindowSeconds)})
			}
		}
		for _, b := range u.Budgets {
			t.rows = append(t.rows, []string{u.Name, b.Project, "budget", "-", number(b.Spent), number(b.Limit), seconds(b.WindowSeconds)})
		}
	}
	return t
}

func accountCells(a api.UpstreamAccount, now time.Time) []string {
	if a.Left == nil {
		return []string{a.Credential, "-", "-", "-", "-", "-", "-", "-", "-", accountState(a, now), "-", "-"}
	}
	return []string{
		a.Credential, strconv.FormatInt(*a.Left, 10), strconv.FormatInt(a.Limit, 10),
		span(time.Duration(a.WindowSeconds) * time.Second), cmp.Or(a.Source, "-"), clock(a.AllFree, now),
		strconv.FormatFloat(a.BurnPerHour, 'f', -1, 64), forecastText(a, now), strconv.FormatInt(a.Elsewhere, 10), accountState(a, now),
		clock(a.NextFree, now), clock(a.At, now),
	}
}

func forecastText(a api.UpstreamAccount, now time.Time) string {
	switch {
	case a.EmptyAt != nil && *a.Left <= 0:
		return "empty"
	case a.EmptyAt != nil:
		return "empty at " + clock(a.EmptyAt, now)
	case a.BurnPerHour > 0:
		return "lasts"
	}
	return "-"
}

func accountState(a api.UpstreamAccount, now time.Time) string {
	switch a.State {
	case "resting":
		return "resting until " + clock(a.RestsUntil, now)
	case "blocked":
		return "not shown to " + a.TokenService + ": is it one of the upstream's realms?"
	case "unasked":
		return "not asked yet"
	}
	return a.State
}

// clock is a time of day as it is here, with the date when that is not today.
func clock(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	here := at.Local()
	if here.YearDay() == now.YearDay() && here.Year() == now.Year() {
		return here.Format("15:04")
	}
	return here.Format("2 Jan 15:04")
}

// span is a duration in hours and minutes where that says it all, as in 6h.
func span(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return d.String()
}
