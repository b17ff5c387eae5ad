package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	authorityCertFile = "ca.crt"
	authorityKeyFile  = "ca.key"
	serverCertFile    = "server.crt"
	serverKeyFile     = "server.key"
)

// SelfSigned serves a certificate for the names, signed by a certificate authority
// of Larder's own. Both are kept in dir, made at the first call, and used again
// later; the certificate is made anew when the names ask for others than it has,
// and when its end comes near, also while it is being served. Clients trust the
// authority, whose certificate is the file AuthorityFile(dir).
func SelfSigned(dir string, names []string, now func() time.Time, log *slog.Logger) (*Certificates, error) {
	if _, err := os.Stat(AuthorityFile(dir)); err != nil { // it is written once the folder is durable
		if err := makeFolder(dir); err != nil {
			return nil, fmt.Errorf("making the folder of the certificates: %w", err)
		}
	}
	s := &selfSigned{dir: dir, names: names, now: now}
	c := &Certificates{load: s.load, now: now, log: log}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// AuthorityFile is the path of the certificate that clients have to trust.
func AuthorityFile(dir string) string { return filepath.Join(dir, authorityCertFile) }

// CertificateNames lists the names by which clients reach a server: the host of
// its public URL, of its listeners, of the machine, and loopback's.
func CertificateNames(c Config, hostname string) []string {
	candidates := []string{hostname, "localhost", "127.0.0.1", "::1"}
	for _, address := range []string{c.Mirror.Listen, c.Listen} {
		if host, _, err := net.SplitHostPort(address); err == nil {
			candidates = append([]string{host}, candidates...)
		}
	}
	if c.PublicURL != nil {
		candidates = append([]string{c.PublicURL.Hostname()}, candidates...)
	}
	var names []string
	for _, name := range candidates {
		name = strings.ToLower(name)
		if certifiable(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// certifiable tells whether a certificate can name it: an address that is one
// machine's, or a host name.
func certifiable(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return !ip.IsUnspecified() && ip.Zone() == ""
	}
	return hostGrammar.MatchString(name)
}

// selfSigned keeps the authority and the certificate in files.
type selfSigned struct {
	dir   string
	names []string
	now   func() time.Time
}

func (s *selfSigned) path(name string) string { return filepath.Join(s.dir, name) }

// load returns the certificate kept, or makes a new one where that does not serve.
func (s *selfSigned) load() (*tls.Certificate, error) {
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	if kept, err := readPair(s.path(serverCertFile), s.path(serverKeyFile)); err == nil && s.serves(kept, ca) {
		return kept, nil
	}
	issued, err := ca.issue(s.names, s.now())
	if err != nil {
		return nil, err
	}
	if err := s.write(issued, serverCertFile, serverKeyFile); err != nil {
		return nil, err
	}
	return readPair(s.path(serverCertFile), s.path(serverKeyFile))
}

// serves tells whether a new certificate would be no better than the one kept; it
// would be none either when the authority ends as soon.
func (s *selfSigned) serves(kept *tls.Certificate, ca *authority) bool {
	last := !kept.Leaf.NotAfter.Before(ca.certificate.NotAfter)
	if endsSoon(kept, s.now()) && !last || kept.Leaf.CheckSignatureFrom(ca.certificate) != nil {
		return false
	}
	missing := func(name string) bool { return kept.Leaf.VerifyHostname(name) != nil }
	return !slices.ContainsFunc(s.names, missing)
}

// authority returns the one kept in the folder. It is never replaced unasked, since
// every client would have to trust another one.
func (s *selfSigned) authority() (*authority, error) {
	pair, err := readPair(s.path(authorityCertFile), s.path(authorityKeyFile))
	var missing *fs.PathError
	switch {
	case err == nil:
		return s.checkAuthority(pair)
	case errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) && missing.Path == s.path(authorityCertFile):
	default:
		return nil, fmt.Errorf("the certificate authority in %s is damaged: %w; restore both files from a backup, or remove the folder to make a new one that every client has to trust again", s.dir, err)
	}
	made, err := newAuthority(s.now())
	if err != nil {
		return nil, err
	}
	if err := s.write(made, authorityCertFile, authorityKeyFile); err != nil {
		return nil, err
	}
	pair, err = readPair(s.path(authorityCertFile), s.path(authorityKeyFile))
	if err != nil {
		return nil, err
	}
	return s.checkAuthority(pair)
}

func (s *selfSigned) checkAuthority(pair *tls.Certificate) (*authority, error) {
	if s.now().After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate authority in %s ended on %s: remove the folder to make a new one, which every client has to trust again", s.dir, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return asAuthority(pair)
}

// write keeps the key before the certificate, so that a certificate without its key
// is never the mark of an interrupted write.
func (s *selfSigned) write(made *keyPair, certFile, keyFile string) error {
	if err := writeFile(s.path(keyFile), made.key, 0o600); err != nil {
		return fmt.Errorf("keeping %s: %w", keyFile, err)
	}
	if err := writeFile(s.path(certFile), made.certificate, 0o644); err != nil {
		return fmt.Errorf("keeping %s: %w", certFile, err)
	}
	return nil
}
