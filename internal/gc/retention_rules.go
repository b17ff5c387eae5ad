package gc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// Bounds of retention rules.
const (
	// settled is how long nothing is retired after it was pushed, tagged or untagged,
	// whatever the rules: what belongs to it may still be on its way.
	settled = 24 * time.Hour
	// longestRule bounds the durations of rules.
	longestRule = 3650 * 24 * time.Hour
	// maxKeepLast bounds how many tags a rule keeps.
	maxKeepLast = 10_000
	// maxRules bounds a document of rules, in bytes.
	maxRules = 64 << 10
)

// Rules tell what a project keeps; a zero field is a rule that is not set. A tag is kept
// when any of the first three keeps it, and where none of them is set.
type Rules struct {
	KeepLast         int           // the tags of each repository that were set last
	KeepPulledWithin time.Duration // what was pulled, pushed or tagged since
	KeepMatching     []string      // tags that match one of oci.TagPatterns
	UntaggedAfter    time.Duration // manifests without a tag, used by nobody for so long, go
	// Immutable are the patterns of tags that nobody may remove: the project's, whatever
	// its rules.
	Immutable oci.TagPatterns
}

// aboutTags tells whether tags can go by these rules.
func (r Rules) aboutTags() bool {
	return r.KeepLast > 0 || r.KeepPulledWithin > 0 || len(r.KeepMatching) > 0
}

// RulesDocument is Rules as people write them, in JSON or YAML.
type RulesDocument struct {
	KeepLast         *int     `json:"keepLast,omitempty" minimum:"1" maximum:"10000" doc:"Keep this many tags of each repository, those that were set last"`
	KeepPulledWithin string   `json:"keepPulledWithin,omitempty" example:"30d" doc:"Keep what was pulled, pushed or tagged within this time: days or hours, at least 24h"`
	KeepMatching     []string `json:"keepMatching,omitempty" nullable:"false" maxItems:"100" example:"[\"v*\"]" doc:"Keep the tags that match any of these patterns: * stands for any characters, ? for one, [a-z] for one of those"`
	UntaggedAfter    string   `json:"untaggedAfter,omitempty" example:"7d" doc:"Delete manifests that have had no tag and were neither pushed nor pulled for this time: days or hours, at least 24h"`
}

const knownRules = "keepLast, keepPulledWithin, keepMatching and untaggedAfter"

// ParseRules reads a document in JSON. It is strict: a name that is not known, or comes
// twice, is an error that names those that are.
func ParseRules(text []byte) (Rules, error) {
	if len(text) > maxRules {
		return Rules{}, fmt.Errorf("the rules have more than %d bytes", maxRules)
	}
	var doc RulesDocument
	if err := doc.read(json.NewDecoder(bytes.NewReader(text))); err != nil {
		return Rules{}, fmt.Errorf("reading the rules: %w", err)
	}
	return doc.Rules()
}

func (d *RulesDocument) read(in *json.Decoder) error {
	if start, err := in.Token(); err != nil || start != json.Delim('{') {
		return errors.Join(errors.New("they are not an object"), err)
	}
	seen := map[string]bool{}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string)
		field := map[string]any{
			"keepLast": &d.KeepLast, "keepPulledWithin": &d.KeepPulledWithin,
			"keepMatching": &d.KeepMatching, "untaggedAfter": &d.UntaggedAfter,
		}[text]
		if field == nil || seen[text] {
			return fmt.Errorf("%.64q is not known or comes twice: there are %s", text, knownRules)
		}
		seen[text] = true
		if err := in.Decode(field); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	if _, err := in.Token(); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows them")
	}
	return nil
}

// Rules checks a document. The error says what is allowed.
func (d RulesDocument) Rules() (Rules, error) {
	var r Rules
	var err error
	if r.KeepLast, err = d.keepLast(); err != nil {
		return Rules{}, err
	}
	if r.KeepPulledWithin, err = parseSpan("keepPulledWithin", d.KeepPulledWithin); err != nil {
		return Rules{}, err
	}
	if r.UntaggedAfter, err = parseSpan("untaggedAfter", d.UntaggedAfter); err != nil {
		return Rules{}, err
	}
	if err := oci.TagPatterns(d.KeepMatching).Check("keepMatching"); err != nil {
		return Rules{}, err
	}
	if len(d.KeepMatching) > 0 {
		r.KeepMatching = d.KeepMatching
	}
	if !r.aboutTags() && r.UntaggedAfter == 0 {
		return Rules{}, fmt.Errorf("there is no rule: set one or more of %s, or delete the retention of the project, which then keeps everything", knownRules)
	}
	return r, nil
}

func (d RulesDocument) keepLast() (int, error) {
	if d.KeepLast == nil {
		return 0, nil
	}
	if n := *d.KeepLast; n < 1 || n > maxKeepLast {
		return 0, fmt.Errorf("keepLast is %d: it is a number from 1 to %d, or left out", n, maxKeepLast)
	}
	return *d.KeepLast, nil
}

// parseSpan reads days, as in 30d, or what time.ParseDuration reads.
func parseSpan(rule, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, whole := strings.CutSuffix(text, "d"); whole {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < settled || d > longestRule {
		return 0, fmt.Errorf("%s is %.64q: it is a time such as 30d or 720h, at least 24h, because nothing is deleted on the day after its push, and at most 3650d", rule, text)
	}
	return d, nil
}

func formatSpan(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	return d.String()
}

// Document is the rules as people write them.
func (r Rules) Document() RulesDocument {
	d := RulesDocument{
		KeepPulledWithin: formatSpan(r.KeepPulledWithin),
		KeepMatching:     r.KeepMatching,
		UntaggedAfter:    formatSpan(r.UntaggedAfter),
	}
	if r.KeepLast > 0 {
		d.KeepLast = &r.KeepLast
	}
	return d
}
