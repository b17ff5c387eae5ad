package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/oci"
)

func newExplainCommand() *cobra.Command {
	limit := 50
	output := formatTable
	cmd := &cobra.Command{
		Use:   "explain [ID]",
		Short: "Tell what happened to a pull that failed, or got a stale copy",
		Long: `Tell what happened to a pull through a cache project that failed, or got a stale copy:
what was asked for and looked up, what decided, what the upstream said, and what was
served. The id is at the end of the error, or of the warning. Without one, the last of
them are listed: all for administrators, your own for you.`,
		Example: `  larder explain K7QX2M9A
  larder explain --limit 10`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 1000 {
				return usagef("--limit is from 1 to 1000")
			}
			if len(args) == 1 {
				return explainFailure(cmd, args[0], output)
			}
			return listFailures(cmd, limit, output)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "list at most this many")
	addOutputFlag(cmd, &output)
	return cmd
}

func explainFailure(cmd *cobra.Command, id string, output outputFormat) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	var f api.Failure
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/failures/"+url.PathEscape(id), nil, &f); err != nil {
		return err
	}
	if output != formatTable {
		return newListing(cmd, output, "failure").print(f, failureRows([]api.Failure{f}, time.Now()))
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range explanation(f) {
		_, _ = fmt.Fprintf(w, "%s:\t%s\n", line[0], printable(line[1]))
	}
	return w.Flush()
}

// explanation is a failure in words, line by line.
func explanation(f api.Failure) [][2]string {
	when := f.At.UTC().Format(time.RFC3339)
	if f.Count > 1 {
		when += fmt.Sprintf(", %d times until %s", f.Count, f.LastAt.UTC().Format(time.RFC3339))
	}
	asked := askedImage(f)
	if f.Asked.User != "" {
		asked += ", by " + f.Asked.User
	}
	if f.Asked.Client != "" {
		asked += " from " + f.Asked.Client
	}
	lines := [][2]string{
		{"ID", f.ID}, {"When", when}, {"Asked for", f.Asked.Kind + " " + asked},
		{"Looked up", f.Upstream.Repository + " at upstream " + f.Upstream.Name},
		{"Decided by", decidedBy(f)},
	}
	if f.Upstream.Credential != "" {
		lines = append(lines, [2]string{"Credential", f.Upstream.Credential})
	}
	if f.Upstream.Kind != "" {
		said := "no answer"
		switch rule := oci.Rule(f.Rule); {
		case rule == oci.RuleReserve || rule == oci.RuleBudget:
			said = "nothing, it was not asked"
		case f.Upstream.Status != 0:
			said = strconv.Itoa(f.Upstream.Status)
		}
		if f.Upstream.Said != "" {
			said += ": " + f.Upstream.Said
		}
		lines = append(lines, [2]string{"Upstream said", said})
	}
	return append(lines, [2]string{"Served", servedInstead(f)})
}

// askedImage is what was asked for, as images are written.
func askedImage(f api.Failure) string {
	return calledImage(api.LedgerCall{Repository: f.Asked.Name, Reference: f.Asked.Reference})
}

func decidedBy(f api.Failure) string {
	switch oci.Rule(f.Rule) {
	case oci.RuleLists:
		return "the operator's allow and deny lists"
	case oci.RuleVisibility:
		return "visibility: strangers may not see it, or it is not known whether they may"
	case oci.RulePullLimit:
		return "this registry's own pull limit"
	case oci.RuleReserve:
		return "a reserve: the pulls that are left are set aside for other projects"
	case oci.RuleBudget:
		return "the budget of the project"
	case oci.RuleRemembered:
		return "what the upstream said a moment ago: " + f.Upstream.Kind
	case oci.RulePatience:
		return "patience: the upstream had not answered in time"
	case oci.RuleUpstream:
		return "the upstream: " + f.Upstream.Kind
	}
	return "the registry itself: its log has the cause"
}

func servedInstead(f api.Failure) string {
	if f.Answer.Status != 0 {
		return fmt.Sprintf("%d %s: %s", f.Answer.Status, f.Answer.Code, f.Answer.Message)
	}
	if f.Answer.Digest == "" {
		return f.Answer.Message
	}
	return f.Answer.Digest + ", " + f.Answer.Message
}

func listFailures(cmd *cobra.Command, limit int, output outputFormat) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	var all api.FailureList
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/failures?limit="+strconv.Itoa(limit), nil, &all); err != nil {
		return err
	}
	return newListing(cmd, output, "failure").print(all, failureRows(all.Items, time.Now()).orSay("No pull has failed or got a stale copy in the last week."))
}

func failureRows(all []api.Failure, now time.Time) table {
	t := table{
		header: []string{"ID", "LAST", "COUNT", "ASKED FOR", "USER", "DECIDED BY", "UPSTREAM", "SERVED"},
		wide:   []string{"CREDENTIAL", "CLIENT", "MESSAGE"},
	}
	for _, f := range all {
		said, served := cmp.Or(f.Upstream.Kind, "-"), "stale"
		if f.Upstream.Status != 0 {
			said += " (" + strconv.Itoa(f.Upstream.Status) + ")"
		}
		if f.Answer.Status != 0 {
			served = strconv.Itoa(f.Answer.Status)
		}
		t.rows = append(t.rows, []string{
			f.ID, age(now.Sub(f.LastAt)), strconv.FormatInt(f.Count, 10), askedImage(f), cmp.Or(f.Asked.User, "-"), f.Rule, said, served,
			cmp.Or(f.Upstream.Credential, "-"), cmp.Or(f.Asked.Client, "-"), f.Answer.Message,
		})
	}
	return t
}
