package metadata

import (
	"strings"
	"testing"
)

func FuzzPostgresURL(f *testing.F) {
	f.Add("", "localhost:5432/larder?sslmode=disable")
	f.Add("%", "/larder?host=/run/postgresql")
	f.Add("a@b", "[::1]:x/y#z")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "qPz7secret"
		if _, err := parsePostgresURL("postgres://larder:" + before + secret + "@" + after); err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("the error tells the password: %v", err)
		}
	})
}
