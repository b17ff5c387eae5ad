package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATakenPortIsNamedWithAWayOut(t *testing.T) {
	first, err := Listen(t.Context(), "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	address := first.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Listen(t.Context(), "--listen", address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error is %v", err)
	}
	want := fmt.Sprintf("cannot listen on %s: another program uses port %s: choose another address, for example --listen 127.0.0.1:%s, or see who has it: ss -ltnp 'sport = :%s': ", address, port, otherPort(port), port)
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error is\n%v\nand does not begin with\n%s", err, want)
	}
}

func TestAnAddressThatCannotBeUsedIsExplained(t *testing.T) {
	failed := func(err error) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", err)}
	}
	tests := []struct {
		name             string
		err              error
		setting, address string
		want             string
	}{
		{"a privileged port", failed(syscall.EACCES), "--listen", "127.0.0.1:443",
			"this user may not use port 443, as those below 1024 are privileged: choose a higher one, for example --listen 127.0.0.1:5000, or grant the capability CAP_NET_BIND_SERVICE: listen tcp: bind: permission denied"},
		{"an address of another machine", failed(syscall.EADDRNOTAVAIL), "--mirror-listen", "192.0.2.1:5000",
			"192.0.2.1 is no address of this machine: choose one of those that `ip address` lists, for example --mirror-listen 127.0.0.1:5000: listen tcp: bind: cannot assign requested address"},
		{"an unknown host", &net.OpError{Op: "listen", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "r.invalid", IsNotFound: true}}, "metrics.listen", "r.invalid:9090",
			"the host r.invalid is not known: write an IP address of this machine, for example metrics.listen: 127.0.0.1:9090: listen tcp: lookup r.invalid: no such host"},
		{"the last port is taken", failed(syscall.EADDRINUSE), "--listen", "[::1]:65535",
			"another program uses port 65535: choose another address, for example --listen [::1]:5000, or see who has it: ss -ltnp 'sport = :65535': listen tcp: bind: address already in use"},
		{"anything else", failed(syscall.EMFILE), "--listen", "127.0.0.1:5000", "listen tcp: bind: too many open files"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := explainListen(tt.err, tt.setting, tt.address)
			if diff := cmp.Diff(tt.want, got.Error()); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
			if !errors.Is(got, tt.err) {
				t.Error("the cause is lost")
			}
		})
	}
}
