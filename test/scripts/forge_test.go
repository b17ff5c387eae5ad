package scripts_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// forge makes of a registry token one that the registry did not issue, and sets a
// variable to it:
//
//	forge none VARIABLE TOKEN             without a signature, the algorithm is "none"
//	forge key VARIABLE TOKEN              signed with a key that is not the registry's
//	forge user=NAME VARIABLE TOKEN        for somebody else, with the signature as it was
func forge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		usage(ts, "forge", args, "forge none|key|user=NAME VARIABLE TOKEN")
	}
	how, variable := args[0], args[1]
	parts := strings.Split(args[2], ".")
	if len(parts) != 3 {
		ts.Fatalf("%q is no registry token", args[2])
	}
	switch name, isUser := strings.CutPrefix(how, "user="); {
	case how == "none":
		parts[0], parts[2] = changed(ts, parts[0], "alg", "none"), ""
	case how == "key":
		mac := hmac.New(sha256.New, []byte("a key of somebody else's, 32 long"))
		_, _ = mac.Write([]byte(parts[0] + "." + parts[1])) // a hash never fails
		parts[2] = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	case isUser:
		parts[1] = changed(ts, parts[1], "sub", name)
	default:
		usage(ts, "forge", args, "forge none|key|user=NAME VARIABLE TOKEN")
	}
	ts.Setenv(variable, strings.Join(parts, "."))
}

// changed is a part of a token with one field set.
func changed(ts *testscript.TestScript, part, field, value string) string {
	text, err := base64.RawURLEncoding.DecodeString(part)
	ts.Check(err)
	var fields map[string]any
	ts.Check(json.Unmarshal(text, &fields))
	fields[field] = value
	text, err = json.Marshal(fields)
	ts.Check(err)
	return base64.RawURLEncoding.EncodeToString(text)
}
