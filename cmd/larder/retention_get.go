package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/gc"
)

func newGetRetentionCommand() *cobra.Command {
	var preview bool
	output := formatTable
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show which tags and manifests a project keeps",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			if preview {
				return previewRetention(cmd, project, nil, output)
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var found api.Retention
			if err := c.call(cmd.Context(), http.MethodGet, retentionPath(project), nil, &found); err != nil {
				return err
			}
			return printRetention(cmd, found, output)
		},
	}
	cmd.Flags().BoolVar(&preview, "preview", false, "show what becomes of each tag and each manifest without one, and why")
	addOutputFlag(cmd, &output)
	return cmd
}

func printRetention(cmd *cobra.Command, r api.Retention, output outputFormat) error {
	last := "-"
	if r.Rules.KeepLast != nil {
		last = strconv.Itoa(*r.Rules.KeepLast)
	}
	return newListing(cmd, output, "retention").print(r, table{
		header: []string{"PROJECT", "KEEP-LAST", "KEEP-PULLED-WITHIN", "KEEP-MATCHING", "UNTAGGED-AFTER", "AGE"},
		wide:   []string{"ACTOR"},
		rows: [][]string{{
			r.Project, last, cmp.Or(r.Rules.KeepPulledWithin, "-"), cmp.Or(strings.Join(r.Rules.KeepMatching, ","), "-"),
			cmp.Or(r.Rules.UntaggedAfter, "-"), age(time.Since(r.UpdatedAt)), r.Actor,
		}},
	})
}

// previewRetention shows what becomes of a project by rules, nil meaning its own.
func previewRetention(cmd *cobra.Command, project string, rules *gc.RulesDocument, output outputFormat) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	all, err := previewPages(cmd.Context(), c, project, rules)
	if err != nil {
		return err
	}
	t := table{header: []string{"REPOSITORY", "TAG", "DIGEST", "SIZE", "VERDICT", "WHY"}}
	going := 0
	for _, v := range all {
		if v.Verdict == "delete" {
			going++
		}
		digest := v.Digest
		if output == formatTable {
			digest = shortDigest(digest)
		}
		t.rows = append(t.rows, []string{v.Repository, cmp.Or(v.Tag, "-"), digest, bytesText(v.Size), v.Verdict, v.Why})
	}
	if err := newListing(cmd, output, "imagestream").print(api.RetentionPreview{Items: all}, t); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d would be deleted; nothing was changed.\n", going, len(all))
	return err
}

// shortDigest is as much of a digest as people compare.
func shortDigest(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// previewPages follows the pages to the last.
func previewPages(ctx context.Context, c *client, project string, rules *gc.RulesDocument) ([]api.RetentionVerdict, error) {
	method, all := http.MethodGet, []api.RetentionVerdict{}
	var body any
	if rules != nil {
		method, body = http.MethodPost, rules
	}
	for after := ""; ; {
		var page api.RetentionPreview
		query := url.Values{"limit": {"10000"}, "after": {after}}
		if err := c.call(ctx, method, retentionPath(project)+"/preview?"+query.Encode(), body, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" || page.Next == after {
			return all, nil
		}
		after = page.Next
	}
}
