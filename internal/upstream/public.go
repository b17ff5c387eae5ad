package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// refusePrivate makes a transport connect to public addresses only. The address is looked
// at once it is known, so that no name leads elsewhere. A proxy of the environment is
// trusted; what is asked through it must not be an address that is not public.
func refusePrivate(t *http.Transport, timeout time.Duration) {
	proxy, direct := t.Proxy, t.DialContext
	guarded := (&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second, Control: publicOnly}).DialContext
	proxies := map[string]bool{}
	for _, scheme := range []string{"http", "https"} {
		if u, err := proxy(&http.Request{URL: &url.URL{Scheme: scheme, Host: "registry.example"}}); err == nil && u != nil {
			proxies[proxyAddress(u)] = true
		}
	}
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if address, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !isPublic(address) {
			return nil, notPublic(address)
		}
		return proxy(r)
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if proxies[address] {
			return direct(ctx, network, address)
		}
		return guarded(ctx, network, address)
	}
}

// proxyAddress is what a transport dials for a proxy.
func proxyAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func publicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connecting to %q: %w", address, err)
	}
	if !isPublic(to.Addr()) {
		return notPublic(to.Addr())
	}
	return nil
}

func notPublic(address netip.Addr) error {
	return fmt.Errorf("%s is no public address, and is not asked: make the registry an upstream if it is meant", address)
}

// isPublic leaves out what RFC 6890 reserves for one machine, link, network or for
// nobody, also inside of IPv6 addresses that stand for IPv4 ones.
func isPublic(address netip.Addr) bool {
	address = address.WithZone("").Unmap()
	for _, reserved := range reservedNetworks() {
		if reserved.Contains(address) {
			return false
		}
	}
	return address.IsGlobalUnicast() && !address.IsPrivate()
}

func reservedNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
		netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
	}
}
