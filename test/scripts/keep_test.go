package scripts_test

import (
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// keep sets a variable to the part of what was printed last that matches:
//
//	keep VARIABLE PATTERN
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		usage(ts, "keep", args, "keep VARIABLE PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindString(ts.ReadFile("stdout"))
	if found == "" {
		ts.Fatalf("nothing that was printed matches %s", args[1])
	}
	ts.Setenv(args[0], found)
}
