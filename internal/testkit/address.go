package testkit

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// given are the ports that FreeAddress has told of: who asks next may come before whoever
// asked first listens.
var given sync.Map

// FreeAddress is an address of this machine that nobody listens on, another one each time.
// Connections do not begin at ports as low, and listeners that take any free one do not get
// them, so it stays free until a server is there, and while it is away.
func FreeAddress() (string, error) {
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+rand.IntN(16_000))) //nolint:gosec // it is no secret
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", err
		}
		if _, taken := given.LoadOrStore(address, true); !taken {
			return address, nil
		}
	}
	return "", errors.New("no port was free")
}

// Test is a test or a benchmark.
type Test interface {
	Helper()
	Fatal(args ...any)
}

// NewAddress is FreeAddress for a test, which fails where there is none.
func NewAddress(t Test) string {
	t.Helper()
	address, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
