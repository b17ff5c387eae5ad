package events

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressError says why nothing is delivered to an address.
type AddressError struct{ Address, Why string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("nothing is delivered to %s, which %s", e.Address, e.Why)
}

// Addresses decides where deliveries may go: to what is public, and to what the operator
// allows beside it.
type Addresses struct {
	// Allow are networks that are not public. What is link-local, a cloud's metadata or no
	// address of a host is never allowed, and loopback only by a network that lies in it.
	Allow []netip.Prefix
}

// Check refuses an address that nothing may be delivered to.
func (a Addresses) Check(address netip.Addr) error {
	for _, one := range meant(address) {
		if why := a.refusal(one); why != "" {
			return &AddressError{Address: address.String(), Why: why}
		}
	}
	return nil
}

func (a Addresses) refusal(address netip.Addr) string {
	in := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(address) })
	}
	switch {
	case !address.IsValid() || address.IsUnspecified() || address.IsMulticast() || in(noHosts()):
		return "is no address of a host"
	case address.IsLinkLocalUnicast():
		return "is link-local"
	case in(metadataServices()):
		return "is where clouds tell machines their secrets"
	case address.IsLoopback():
		if !slices.ContainsFunc(a.Allow, func(p netip.Prefix) bool { return p.Addr().IsLoopback() && p.Contains(address) }) {
			return "is loopback: the operator can allow it by webhooks.allow"
		}
	case address.IsPrivate() || in(reserved()):
		if !in(a.Allow) {
			return "is not public: the operator can allow its network by webhooks.allow"
		}
	}
	return ""
}

// meant are the addresses that a packet to an address may go to: itself, and the IPv4
// address that it stands for.
func meant(address netip.Addr) []netip.Addr {
	address = address.WithZone("").Unmap()
	all := []netip.Addr{address}
	if !address.Is6() {
		return all
	}
	bytes := address.As16()
	for _, form := range []struct {
		network netip.Prefix
		at      int
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64 (RFC 6052)
		{netip.MustParsePrefix("2002::/16"), 2},        // 6to4 (RFC 3056)
		{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (RFC 7915)
		{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible (RFC 4291, §2.5.5.1)
	} {
		if form.network.Contains(address) && address != netip.IPv6Loopback() && !address.IsUnspecified() {
			all = append(all, netip.AddrFrom4([4]byte(bytes[form.at:form.at+4])))
		}
	}
	return all
}

// noHosts are networks in which nobody can be.
func noHosts() []netip.Prefix {
	return networks("0.0.0.0/8", "240.0.0.0/4", "100::/64")
}

// metadataServices are where machines in clouds are told what is theirs alone, beside the
// link-local addresses.
func metadataServices() []netip.Prefix {
	return networks(
		"100.100.100.200/32", // Alibaba Cloud
		"168.63.129.16/32",   // Azure
		"192.0.0.192/32",     // Oracle Cloud
		"fd00:ec2::/32",      // AWS
		"fd20:ce::254/128",   // Google Cloud
	)
}

// reserved are networks that are neither public nor private in the words of package netip
// (RFC 6890), and those of tunnels that hide where they lead.
func reserved() []netip.Prefix {
	return networks(
		"100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"64:ff9b:1::/48", "2001::/23", "2001:db8::/32", "fec0::/10",
	)
}

func networks(all ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, 0, len(all))
	for _, text := range all {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}
