package metadata_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		os.Exit(writeUntilKilled(path))
	}
	goleak.VerifyTestMain(withServer{m})
}

// server is the PostgreSQL of all tests, started by the first that needs it.
var server struct {
	once sync.Once
	*metadatatest.PostgreSQL
	err error
}

func postgreSQL(t testing.TB) *metadatatest.PostgreSQL {
	t.Helper()
	server.once.Do(func() { server.PostgreSQL, server.err = metadatatest.StartPostgreSQL() })
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.PostgreSQL
}

// withServer stops the server after the tests and before goroutines are counted.
type withServer struct{ *testing.M }

func (w withServer) Run() int {
	code := w.M.Run()
	if server.PostgreSQL != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(code, 1)
		}
	}
	return code
}
