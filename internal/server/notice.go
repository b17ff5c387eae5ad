package server

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"
)

// notice tells a person what they need once: the admin's password where this start
// made it, how clients trust the certificate, and the first thing to try.
func (s *Server) notice(madePassword string) error {
	var text strings.Builder
	scheme, host := "http", reachable(s.Addr().String())
	if s.certs != nil {
		scheme = "https"
	}
	_, _ = fmt.Fprintf(&text, "Larder %s listens on %s://%s, data in %s\n", s.options.Version, scheme, host, s.floor.Data.Path())
	if u := s.config.PublicURL; u != nil {
		host = u.Host
		_, _ = fmt.Fprintf(&text, "Clients reach it at %s\n", u)
	}
	mirror := s.mirrorHost()
	if mirror != "" {
		_, _ = fmt.Fprintf(&text, "Docker's registry-mirrors may use %s://%s\n", scheme, mirror)
	}
	if madePassword != "" {
		_, _ = fmt.Fprintf(&text, "\nThe user admin was made. Its password is shown this once:\n\n  %s\n\n", madePassword)
	}
	if s.config.TLS.SelfSigned {
		text.WriteString("\nClients come to trust this server by:\n\n")
		for _, line := range s.trustLines(host, mirror) {
			text.WriteString("  " + line + "\n")
		}
		text.WriteString("\n")
	}
	for _, u := range s.config.Upstreams {
		if u.Hub() {
			_, _ = fmt.Fprintf(&text, "Try: docker pull %s/%s/library/nginx\n", host, u.Name)
			break
		}
	}
	_, err := s.options.Notices.Write([]byte(text.String()))
	switch {
	case err == nil:
	case madePassword != "":
		return fmt.Errorf("printing the password of admin, which nobody would know: %w", err)
	default:
		s.log.Warn("how to begin was not printed", "error", err)
	}
	return nil
}

// trustLines are those of the main listener, and docker's for the mirror listener.
func (s *Server) trustLines(host, mirror string) []string {
	authority := AuthorityFile(s.floor.Data.Path("tls"))
	lines := TrustLines(host, authority)
	if mirror != "" {
		lines = append(lines, "# docker, for the mirror listener", dockerTrust(mirror, authority))
	}
	return lines
}

// mirrorHost is the HOST:PORT of the mirror listener as other machines know it, ""
// when there is none.
func (s *Server) mirrorHost() string {
	address := s.MirrorAddr()
	if address == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return address.String()
	}
	if s.config.PublicURL != nil {
		return net.JoinHostPort(s.config.PublicURL.Hostname(), port)
	}
	return reachable(address.String())
}

// reachable is the HOST:PORT that image names on this machine begin with. docker takes
// plain HTTP for granted at localhost, so that name stands for a loopback address.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// newErrorLog takes what net/http has to say about single connections, which is
// for whoever looks closely.
func newErrorLog(to *slog.Logger) *log.Logger { return log.New(connectionLog{to}, "", 0) }

type connectionLog struct{ to *slog.Logger }

func (c connectionLog) Write(line []byte) (int, error) {
	c.to.Debug("connection", "problem", string(bytes.TrimSpace(line)))
	return len(line), nil
}
