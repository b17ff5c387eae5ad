package gc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/oci"
)

const day = 24 * time.Hour

func TestRulesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Rules{
		`{"keepLast":10}`:             {KeepLast: 10},
		`{"keepPulledWithin":"720h"}`: {KeepPulledWithin: 30 * day},
		`{"keepPulledWithin":"30d"}`:  {KeepPulledWithin: 30 * day},
		`{"untaggedAfter":"36h30m"}`:  {UntaggedAfter: 36*time.Hour + 30*time.Minute},
		` {"keepLast":null, "keepMatching": ["v*","1.[0-9]?"], "untaggedAfter":"7d"} `: {KeepMatching: []string{"v*", "1.[0-9]?"}, UntaggedAfter: 7 * day},
	} {
		got, err := ParseRules([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestRulesThatCannotBeMeantAreRefusedWithWhatIsAllowed(t *testing.T) {
	for text, want := range map[string]string{
		``:                              "not an object",
		`[]`:                            "not an object",
		`null`:                          "not an object",
		`{`:                             "EOF",
		`{"keepLast":1}{}`:              "something follows",
		`{"keepLast":1,"keepLast":2}`:   "comes twice",
		`{"KeepLast":1}`:                "there are keepLast, keepPulledWithin, keepMatching and untaggedAfter",
		`{"keep":1}`:                    `"keep" is not known`,
		`{"keepLast":"1"}`:              "keepLast: ",
		`{}`:                            "there is no rule",
		`{"keepMatching":[]}`:           "there is no rule",
		`{"keepLast":0}`:                "from 1 to 10000",
		`{"keepLast":10001}`:            "from 1 to 10000",
		`{"keepLast":-1}`:               "from 1 to 10000",
		`{"untaggedAfter":"1h"}`:        "at least 24h",
		`{"untaggedAfter":"7 days"}`:    "such as 30d or 720h",
		`{"untaggedAfter":"-7d"}`:       "such as 30d or 720h",
		`{"untaggedAfter":"d"}`:         "such as 30d or 720h",
		`{"keepPulledWithin":"3651d"}`:  "at most 3650d",
		`{"keepPulledWithin":"99999d"}`: "at most 3650d",
		`{"keepMatching":["v*","a/b"]}`: `"a/b"`,
		`{"keepMatching":["[a"]}`:       "[a-z] for one of those",
		`{"keepMatching":[""]}`:         "1 to 128 characters",
		`{"keepMatching":["` + strings.Repeat("v", 129) + `"]}`:                   "1 to 128 characters",
		`{"keepMatching":["v"` + strings.Repeat(`,"v"`, 100) + `]}`:               "at most 100",
		`{"keepMatching":["` + strings.Repeat("v", maxRules) + `"],"keepLast":1}`: "more than 65536 bytes",
	} {
		_, err := ParseRules([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got the error %v, want one that says %q", text, err, want)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"keepLast":10,"keepPulledWithin":"720h","keepMatching":["v*","1.[0-9]*"],"untaggedAfter":"7d"}`))
	f.Add([]byte(`{"keepMatching":["[^a-z]\\*"],"untaggedAfter":"36h1ns"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		if rules.KeepLast > maxKeepLast || oci.TagPatterns(rules.KeepMatching).Check("") != nil ||
			rules.KeepPulledWithin > longestRule || rules.UntaggedAfter > longestRule {
			t.Fatalf("%s is beyond the bounds", text)
		}
		again, err := json.Marshal(rules.Document())
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRules(again)
		if diff := cmp.Diff(rules, got); err != nil || diff != "" {
			t.Fatalf("%s came back as %s, %v:\n%s", text, again, err, diff)
		}
	})
}
