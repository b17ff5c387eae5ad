package oci

import (
	"strings"
	"testing"
)

func TestTagsMatchPatternsAsAWhole(t *testing.T) {
	patterns := TagPatterns{"v*", "1.[0-9]", "release-?"}
	for tag, want := range map[string]string{
		"v1": "v*", "v": "v*", "1.5": "1.[0-9]", "release-a": "release-?",
		"rev1": "", "1.10": "", "release-": "", "V1": "", "": "",
	} {
		if got, found := patterns.Matching(tag); got != want || found != (want != "") {
			t.Errorf("%q matches %q, want %q", tag, got, want)
		}
	}
}

func TestPatternsThatCannotBeMeantAreRefused(t *testing.T) {
	for name, patterns := range map[string]TagPatterns{
		"none that is empty":         {""},
		"none that is not a pattern": {"v*", "["},
		"none for repositories":      {"app/*"},
		"none that is too long":      {strings.Repeat("v", maxTagPattern+1)},
		"not too many":               make(TagPatterns, maxTagPatterns+1),
	} {
		if err := patterns.Check("immutableTags"); err == nil || !strings.HasPrefix(err.Error(), "immutableTags has ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (TagPatterns{"v*", "*", strings.Repeat("v", maxTagPattern)}).Check("immutableTags"); err != nil {
		t.Error(err)
	}
	if err := TagPatterns(nil).Check("immutableTags"); err != nil {
		t.Error(err)
	}
}
