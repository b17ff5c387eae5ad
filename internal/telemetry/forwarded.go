package telemetry

import (
	"net/http"
	"net/netip"
	"strings"
)

// hop is what one proxy says of the request that it took in.
type hop struct {
	client netip.Addr // invalid when hidden or unreadable
	scheme string
	host   string
}

// fromRight returns the last part of a comma-separated list, trimmed, and what
// is left of it. Commas inside of quotes count too: no value that is read here
// has one, and whatever a client has put in front, be it an open quote, cannot
// reach what a proxy appends.
func fromRight(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], trim(list[i+1:]), true
	}
	return "", trim(list), false
}

// trim drops optional whitespace (RFC 9110, §5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

// joined is the value of a list header that may come in several lines (RFC 9110,
// §5.3).
func joined(header http.Header, name string) string {
	values := header.Values(name)
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

// parseForwarded reads one element of a Forwarded header (RFC 7239, §4). Anything
// malformed makes the element say nothing.
func parseForwarded(element string) hop {
	var h hop
	for element != "" {
		var name, value string
		var ok bool
		if name, value, element, ok = forwardedPair(element); !ok {
			return hop{}
		}
		switch strings.ToLower(name) {
		case "for":
			h.client = parseNode(value)
		case "proto":
			h.scheme = value
		case "host":
			h.host = value
		}
	}
	return h
}

// forwardedPair cuts the first name=value off an element.
func forwardedPair(element string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(element, "=")
	name = trim(name)
	if !ok || !token(name, "") {
		return "", "", "", false
	}
	if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
		// No value that is read here needs a backslash.
		value, rest, ok = strings.Cut(quoted, `"`)
		rest = trim(rest)
		if !ok || strings.Contains(value, `\`) || (rest != "" && rest[0] != ';') {
			return "", "", "", false
		}
		return name, value, trim(strings.TrimPrefix(rest, ";")), true
	}
	value, rest, _ = strings.Cut(rest, ";")
	value = trim(value)
	// Some proxies leave out the quotes that colons and brackets need.
	if !token(value, ":[]") {
		return "", "", "", false
	}
	return name, value, trim(rest), true
}

// token says whether s is a token (RFC 9110, §5.6.2), in which the characters in
// also are allowed too.
func token(s, also string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && !strings.ContainsRune(also, r)
	})
}

func alphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// parseNode reads an address with or without a port and brackets (RFC 7239, §6,
// and what proxies write into X-Forwarded-For). "unknown", names that hide an
// address, and anything else are no valid address.
func parseNode(s string) netip.Addr {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return plain(addr)
	}
	if addrPort, err := netip.ParseAddrPort(s); err == nil {
		return plain(addrPort.Addr())
	}
	return netip.Addr{}
}

// plain gives one form to what is one address: no IPv4-mapped IPv6, no zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
