package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// demoReport ends the demonstration with what the Hub saw and what it would have seen.
func demoReport(out io.Writer, acts []act) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { _, _ = fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	row("", "time", "counted by the Hub", "without Larder", "bytes from the Hub", "without Larder")
	for _, a := range acts {
		row(a.name, a.took.Round(10*time.Millisecond).String(),
			fmt.Sprint(a.hub.PullsCounted), fmt.Sprint(manifestsPerPull*a.pulls), megabytes(a.hub.Bytes), megabytes(a.bytes))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text.WriteString("\n")
	for _, a := range acts {
		verdict := "kept  "
		if a.broken != "" || len(a.failures) > 0 {
			verdict = "BROKEN"
		}
		_, _ = fmt.Fprintf(&text, "%s  %s\n", verdict, a.holds)
	}
	_, _ = fmt.Fprintf(&text, `
Docker Hub counts GETs of manifests, two for a pull of this image, and allows %d in
6 hours. Without Larder it would have refused with 429 from the %dst pull on.
`, demoHubLimit, demoHubLimit/manifestsPerPull+1)
	_, err := io.WriteString(out, "\n"+text.String())
	return err
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
