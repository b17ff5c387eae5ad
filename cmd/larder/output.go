package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// outputFormat is the value of -o/--output.
type outputFormat string

const (
	formatTable outputFormat = ""
	formatWide  outputFormat = "wide"
	formatName  outputFormat = "name"
	formatJSON  outputFormat = "json"
	formatYAML  outputFormat = "yaml"
)

func (f *outputFormat) String() string { return string(*f) }

func (*outputFormat) Type() string { return "format" }

// Set refuses what is no format.
func (f *outputFormat) Set(s string) error {
	switch given := outputFormat(s); given {
	case formatWide, formatName, formatJSON, formatYAML:
		*f = given
		return nil
	}
	return fmt.Errorf("it is one of json, yaml, name and wide")
}

func addOutputFlag(cmd *cobra.Command, f *outputFormat) {
	cmd.Flags().VarP(f, "output", "o", "json, yaml, name or wide, instead of a table")
}

// table is what people get to see of a list. The first column is the name.
type table struct {
	header []string
	wide   []string // headers of further columns, shown with -o wide
	rows   [][]string
	none   string // what is said in place of a table without rows; "": its header alone
}

// orSay is the table with what is said where it has no rows.
func (t table) orSay(none string) table {
	t.none = none
	return t
}

// listing prints a list or one object in the format asked for.
type listing struct {
	out, stderr io.Writer
	format      outputFormat
	resource    string // what -o name puts before a name; "": nothing
}

func newListing(cmd *cobra.Command, format outputFormat, resource string) listing {
	return listing{out: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), format: format, resource: resource}
}

func (l listing) print(object any, t table) error {
	switch l.format {
	case formatJSON, formatYAML:
		return l.printObject(object)
	case formatName:
		before := ""
		if l.resource != "" {
			before = l.resource + "/"
		}
		for _, row := range t.rows {
			if _, err := fmt.Fprintln(l.out, before+row[0]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(t.rows) == 0 && t.none != "" {
		_, err := fmt.Fprintln(l.stderr, t.none)
		return err
	}
	columns := len(t.header)
	header := t.header
	if l.format == formatWide {
		columns += len(t.wide)
		header = append(header[:len(header):len(header)], t.wide...)
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range t.rows {
		cells := make([]string, 0, columns)
		for _, cell := range row[:columns] {
			cells = append(cells, printable(cell))
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func (l listing) printObject(object any) error {
	text, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	if l.format == formatYAML {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("writing YAML: %w", err)
		}
	}
	_, err = fmt.Fprintln(l.out, strings.TrimRight(string(text), "\n"))
	return err
}

// none says that a list is empty.
func none(cmd *cobra.Command, text string) error {
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), text)
	return err
}

// printable keeps what others wrote from steering the terminal or the table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// age is a duration as kubectl shows it: its largest unit alone.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
