package testkit

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreeAddress is an address of this machine that nobody listens on. Connections do not begin
// at ports as low, and listeners that take any free one do not get them, so it stays free
// until a server is there, and while it is away.
func FreeAddress() (string, error) {
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+rand.IntN(16_000)))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return address, listener.Close()
		}
	}
	return "", errors.New("no port was free")
}
