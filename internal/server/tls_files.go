package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
)

// filePause lies between two looks at the files of a certificate. They are read, since what
// the kernel tells of changes is lost where a link above them is exchanged, as a kubelet does
// with the Secrets that it mounts, and on network file systems.
const filePause = 10 * time.Second

// fileCertificates serves a certificate chain and its key from two PEM files, which somebody
// else renews.
type fileCertificates struct {
	*Certificates
	certFile, keyFile string
	log               *slog.Logger

	// What follows is watch's.
	broken [sha256.Size]byte // what the files held that do not serve; zero: they did
	told   bool              // of that
}

// newFileCertificates reads the files.
func newFileCertificates(certFile, keyFile string, log *slog.Logger) (*fileCertificates, error) {
	c := &fileCertificates{
		Certificates: &Certificates{load: func() (*tls.Certificate, error) { return readPair(certFile, keyFile) }},
		certFile:     certFile, keyFile: keyFile, log: log,
	}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// watch takes over what the files hold until the context ends.
func (c *fileCertificates) watch(ctx context.Context) {
	for sleep.For(ctx, filePause) == nil {
		c.look()
	}
}

// look takes over what the files hold, if that is another certificate. What does not serve is
// told of once, and only when it is still there at the next look: the two are seldom written
// at one moment.
func (c *fileCertificates) look() {
	was := c.current.Load()
	err := c.Reload()
	if err != nil {
		c.tell(err)
		return
	}
	now := c.current.Load()
	switch {
	case !slices.EqualFunc(was.Certificate, now.Certificate, bytes.Equal):
		c.log.Info("a renewed certificate is served from now on", "certificate", c.certFile, "ends", now.Leaf.NotAfter)
	case c.told:
		c.log.Info("the files of the certificate are in order again", "certificate", c.certFile, "ends", now.Leaf.NotAfter)
	}
	c.broken, c.told = [sha256.Size]byte{}, false
}

func (c *fileCertificates) tell(err error) {
	if held := c.held(err); held != c.broken {
		c.broken, c.told = held, false
		return
	}
	if c.told {
		return
	}
	c.told = true
	c.log.Error("the files of a certificate cannot be used, and the one from before goes on being served: write a certificate and the key that belongs to it",
		"error", err, "ends", c.current.Load().Leaf.NotAfter)
}

// held tells one content of the files from another.
func (c *fileCertificates) held(err error) [sha256.Size]byte {
	all := err.Error()
	for _, name := range []string{c.certFile, c.keyFile} {
		text, err := ReadFile(name)
		all += fmt.Sprintf("\n%d %v %s", len(text), err, text)
	}
	return sha256.Sum256([]byte(all))
}
