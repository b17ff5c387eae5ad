package chaos_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// newBalancer is a plain TCP balancer: each connection goes to the next server, or to
// the one after it when that is not there. It returns its URL.
func newBalancer(t *testing.T, servers ...*server) string {
	t.Helper()
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, strings.TrimPrefix(s.url, "http://"))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		working sync.WaitGroup
		next    atomic.Int64
	)
	working.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			working.Go(func() { forward(client, addresses, int(next.Add(1))) })
		}
	})
	// The clients' connections, which end what is forwarded, are closed before.
	t.Cleanup(func() { _ = listener.Close(); working.Wait() })
	return "http://" + listener.Addr().String()
}

// forward copies both ways until either side ends.
func forward(client net.Conn, addresses []string, first int) {
	defer func() { _ = client.Close() }()
	for i := range addresses {
		server, err := net.Dial("tcp", addresses[(first+i)%len(addresses)])
		if err != nil {
			continue
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
		_ = server.Close()
		return
	}
}
