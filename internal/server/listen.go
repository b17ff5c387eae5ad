package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// Listen opens a listener. setting is the flag or the key by which the address was
// chosen, --listen or metrics.listen: errors say how to choose another with it.
func Listen(ctx context.Context, setting, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, explainListen(err, setting, address))
	}
	return listener, nil
}

// explainListen adds what a person can do about it.
func explainListen(err error, setting, address string) error {
	host, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return err
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program uses port %s: choose another address, for example %s, or see who has it: ss -ltnp 'sport = :%s': %w",
			port, option(setting, net.JoinHostPort(host, otherPort(port))), port, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not use port %s, as those below 1024 are privileged: choose a higher one, for example %s, or grant the capability CAP_NET_BIND_SERVICE: %w",
			port, option(setting, net.JoinHostPort(host, "5000")), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine: choose one of those that `ip address` lists, for example %s: %w",
			host, option(setting, net.JoinHostPort("127.0.0.1", port)), err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host %s is not known: write an IP address of this machine, for example %s: %w",
			host, option(setting, net.JoinHostPort("127.0.0.1", port)), err)
	}
	return err
}

// option is what a person would type, on the command line or in the file.
func option(setting, value string) string {
	if strings.HasPrefix(setting, "--") {
		return setting + " " + value
	}
	return setting + ": " + value
}

func otherPort(port string) string {
	number, err := strconv.Atoi(port)
	if err != nil || number >= 65535 {
		return "5000"
	}
	return strconv.Itoa(number + 1)
}
