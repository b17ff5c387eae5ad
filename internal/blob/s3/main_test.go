package s3_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// service is one implementation of S3, which all tests of the package share.
type service struct{ *s3test.Service }

var versitygw, minIO service

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	for to, start := range map[*service]func() (*s3test.Service, error){&versitygw: s3test.Versitygw, &minIO: s3test.MinIO} {
		s, err := start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer s.Stop()
		to.Service = s
	}
	code = m.Run()
	versitygw.Stop()
	minIO.Stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// throughProxy starts a proxy and makes it the endpoint of the configuration.
func throughProxy(t *testing.T, c *s3.Config) *s3test.Proxy {
	t.Helper()
	p := s3test.NewProxy(c.Endpoint)
	t.Cleanup(p.Close)
	c.Endpoint = p.Endpoint()
	return p
}
