package telemetry

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddress finds out where a request comes from. Forwarded headers are
// believed only as far as trusted proxies have written them: anyone can send
// them.
//
// X-Forwarded-For, -Proto and -Host are read, or Forwarded (RFC 7239) where there
// is no X-Forwarded-For. A trusted proxy that writes the ones has to remove the
// other, as with any server that reads both.
type ClientAddress struct{ trusted []netip.Prefix }

// NewClientAddress trusts the proxies with an address in one of the prefixes.
// None: the peer is the client.
func NewClientAddress(trusted []netip.Prefix) *ClientAddress {
	c := &ClientAddress{trusted: make([]netip.Prefix, 0, len(trusted))}
	for _, p := range trusted {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		c.trusted = append(c.trusted, p.Masked())
	}
	return c
}

// Of returns the client's address: the first from the right that no trusted
// proxy has. Where a hop's address is hidden or unreadable, it is the address of
// the proxy that reported the hop. It is not valid when the peer has no IP
// address, as on a Unix socket. IPv4-mapped addresses are returned as IPv4, zones
// are dropped.
func (c *ClientAddress) Of(r *http.Request) netip.Addr {
	client, _, _ := c.outermost(r)
	return client
}

// Origin returns the scheme, "http" or "https", and the host, with the port where
// there is one, that the client has used. They are those that the outermost
// trusted proxy reports, and what the request itself says where it reports none
// or nothing that could stand in a URL.
func (c *ClientAddress) Origin(r *http.Request) (scheme, host string) {
	scheme, host = "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	_, proxies, said := c.outermost(r)
	if proxies == 0 {
		return scheme, host
	}
	if !readsForwarded(r) {
		said.scheme = fromRightAt(joined(r.Header, "X-Forwarded-Proto"), proxies)
		said.host = fromRightAt(joined(r.Header, "X-Forwarded-Host"), proxies)
	}
	if proto := strings.ToLower(said.scheme); proto == "http" || proto == "https" {
		scheme = proto
	}
	if validHost(said.host) {
		host = said.host
	}
	return scheme, host
}

// trusts says whether an address belongs to a trusted proxy.
func (c *ClientAddress) trusts(addr netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// fromTrusted says whether a trusted proxy has sent the request.
func (c *ClientAddress) fromTrusted(r *http.Request) bool {
	return len(c.trusted) > 0 && c.trusts(peer(r))
}

// outermost walks from the peer towards the client, as long as proxies are
// trusted. It returns the client's address, the number of trusted proxies, and
// what the outermost of them says of the request.
func (c *ClientAddress) outermost(r *http.Request) (client netip.Addr, proxies int, said hop) {
	client = peer(r)
	if len(c.trusted) == 0 || !c.trusts(client) {
		return client, 0, hop{}
	}
	list, read := joined(r.Header, "X-Forwarded-For"), parseForwardedFor
	if readsForwarded(r) {
		list, read = joined(r.Header, "Forwarded"), parseForwarded
	}
	for {
		var element string
		var more bool
		list, element, more = fromRight(list)
		said = read(element)
		proxies++
		if !said.client.IsValid() {
			return client, proxies, said
		}
		client = said.client
		if !more || !c.trusts(client) {
			return client, proxies, said
		}
	}
}

func parseForwardedFor(element string) hop { return hop{client: parseNode(element)} }

// readsForwarded decides between the two kinds of headers for all that is read
// of one request.
func readsForwarded(r *http.Request) bool {
	return len(r.Header.Values("X-Forwarded-For")) == 0 && len(r.Header.Values("Forwarded")) > 0
}

// fromRightAt returns the element that the n-th proxy from the right has written,
// or the leftmost where proxies replace the value instead of appending to it.
func fromRightAt(list string, n int) string {
	for {
		var element string
		var more bool
		list, element, more = fromRight(list)
		if n <= 1 || !more {
			return element
		}
		n--
	}
}

// validHost accepts what may stand as the host of a URL: a name or an address of
// at most 255 characters, with or without a port.
func validHost(host string) bool {
	return host != "" && len(host) <= 255 && !strings.ContainsFunc(host, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("-._:[]", r)
	})
}

// peer is the address of the connection's other end.
func peer(r *http.Request) netip.Addr {
	addrPort, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plain(addrPort.Addr())
}
