package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/larder-registry/larder/internal/api"
)

// describeImports prints from where tags of a repository are taken, and how that went
// last. Those that were never imported are not mentioned.
func describeImports(ctx context.Context, c *client, n imageName, out io.Writer, now time.Time) error {
	var imports api.ImportList
	if err := c.call(ctx, http.MethodGet, n.path()+"/imports", nil, &imports); err != nil {
		return err
	}
	if len(imports.Items) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out, "\nImports:"); err != nil {
		return err
	}
	for _, i := range imports.Items {
		if _, err := fmt.Fprintf(out, "  %s from %s%s; asked %s, set %s\n", printable(i.Tag), printable(i.From),
			scheduleText(i.Scheduled), sinceText(i.CheckedAt, now), sinceText(i.ImportedAt, now)); err != nil {
			return err
		}
		for _, condition := range i.Conditions {
			said := "    "
			switch {
			case condition.Status != "True":
				said += cmp.Or(condition.Reason, "failed") + ": "
			case condition.Message == "":
				continue
			}
			if _, err := fmt.Fprintln(out, said+printable(condition.Message)); err != nil {
				return err
			}
		}
	}
	return nil
}

func scheduleText(scheduled bool) string {
	if scheduled {
		return ", followed"
	}
	return ""
}

// sinceText is how long ago something was, which may never have been.
func sinceText(at *time.Time, now time.Time) string {
	if at == nil {
		return "never"
	}
	return agoText(at, now)
}
