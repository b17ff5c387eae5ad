package server

import (
	"net"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzConfigFile holds any file to what Load promises: no panic, errors that name
// the place, and a configuration that the rest of the server can rely on.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		wholeFile, "", "#", "listen: 1", "a: &a [*a]", "? x\n: y", "listen: |\n  127.0.0.1:1\n", "tls: {", "upstreams: [{}, [], ~]",
		"\"\\x00\": 1", "- - - -", "a: !!binary x", "%YAML 1.1\n---\n", "publicURL: 'http://u:p@h:0/?#'", "shutdownTimeout: 9999999999999h",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const secret = "qPz7secret"
		given := withFile(string(text))
		given.files["/run/secrets/hub"] = secret
		config, err := given.load(t)
		if err != nil {
			if !strings.Contains(err.Error(), "larder.yaml") && !strings.Contains(err.Error(), "--config") {
				t.Errorf("the error does not name the file: %v", err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a secret: %v", err)
			}
			return
		}
		for _, address := range []string{config.Listen, config.Mirror.Listen, config.Metrics.Listen} {
			if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
				t.Errorf("address %q was accepted: %v", address, err)
			}
			if address != "" && !config.TLS.Enabled() && !loopback(address) {
				t.Errorf("%q would be served in clear text", address)
			}
		}
		for _, u := range config.Upstreams {
			if u.Name == "" || strings.Contains(u.Name, "/") || !utf8.ValidString(u.Name) || u.TagTTL < 0 {
				t.Errorf("upstream %q was accepted", u.Name)
			}
			if u.URL == nil || u.URL.Host == "" || u.URL.User != nil || u.URL.Path != "" {
				t.Errorf("URL %v of upstream %q was accepted", u.URL, u.Name)
			}
			for _, c := range u.Credentials {
				if c.Username == "" || c.Password == "" {
					t.Errorf("half a credential of upstream %q was accepted", u.Name)
				}
			}
			u.Allows("library/nginx")
		}
	})
}
