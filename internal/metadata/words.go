package metadata

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
)

// words is a list of strings as a column keeps it: a JSON array, empty for none.
type words []string

// Value implements driver.Valuer.
func (w words) Value() (driver.Value, error) {
	if len(w) == 0 {
		return "[]", nil
	}
	return asJSON(w)
}

// scanWords is where a query puts a column that was written as words.
type scanWords struct{ to *[]string }

// Scan implements sql.Scanner.
func (s scanWords) Scan(src any) error {
	var text []byte
	switch src := src.(type) {
	case string:
		text = []byte(src)
	case []byte:
		text = src
	default:
		return fmt.Errorf("reading a list: it is a %T", src)
	}
	*s.to = nil
	var all []string
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("reading a list: %w", err)
	}
	if len(all) > 0 {
		*s.to = all
	}
	return nil
}

// union is what either list holds, each once and in order; nil when that is nothing.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return nil
	}
	return all
}
