package server_test

import (
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/server"
)

func TestAStartThatFailsSaysWhichSettingIsToBlame(t *testing.T) {
	pushed := newStack(t, hubsim.Options{}, "")
	if got := pushed.send(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", admin: true}); got.status != 202 {
		t.Fatalf("making a hosted project: %d", got.status)
	}
	pushed.stop()
	for _, test := range []struct {
		name   string
		change func(*server.Config)
		says   string
	}{
		{"an upstream named like a project that people push to", func(c *server.Config) {
			c.Upstreams = []server.Upstream{{Name: "demo", URL: &url.URL{Scheme: "https", Host: "quay.io"}}}
		}, "give the upstream another name"},
		{"a certificate that is none", func(c *server.Config) {
			file := writeFile(t, "not.pem", "nothing")
			c.TLS.CertFile, c.TLS.KeyFile = file, file
		}, "tls.certFile and tls.keyFile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := server.Defaults()
			config.Listen, config.Data = "127.0.0.1:0", pushed.data
			test.change(&config)
			_, err := server.New(t.Context(), config, server.Options{Log: slog.New(slog.DiscardHandler), Notices: io.Discard})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want one that says %q", err, test.says)
			}
		})
	}
}
