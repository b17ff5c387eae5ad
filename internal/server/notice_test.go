package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit"
)

func TestTheNoticeNamesTheMirrorAsOtherMachinesKnowIt(t *testing.T) {
	config := server.Defaults()
	config.Listen, config.Mirror.Listen, config.Data = "127.0.0.1:0", "0.0.0.0:0", t.TempDir()
	config.TLS.SelfSigned = true
	config.PublicURL = &url.URL{Scheme: "https", Host: "larder.example.com:5000"}
	var notices testkit.Buffer
	larder, err := server.New(t.Context(), config, server.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Notices: &notices})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(larder.MirrorAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Clients reach it at https://larder.example.com:5000",
		"registry-mirrors may use https://larder.example.com:" + port,
		"/etc/docker/certs.d/larder.example.com:5000/ca.crt",
		"/etc/docker/certs.d/larder.example.com:" + port + "/ca.crt",
		"docker pull larder.example.com:5000/docker-hub/library/nginx",
	} {
		if !strings.Contains(notices.String(), want) {
			t.Errorf("the notice lacks %q:\n%s", want, notices.String())
		}
	}
	over, end := context.WithCancel(t.Context())
	end()
	if err := larder.Run(over); err != nil {
		t.Error(err)
	}
}
