package events

import (
	"errors"
	"net/netip"
	"testing"
)

func TestDeliveriesGoToPublicAddressesAndToThoseThatTheOperatorAllows(t *testing.T) {
	allow := func(all ...string) Addresses { return Addresses{Allow: networks(all...)} }
	everything := allow("0.0.0.0/0", "::/0")
	tests := []struct {
		name    string
		with    Addresses
		address string
		fine    bool
	}{
		{"a public one", Addresses{}, "93.184.215.14", true},
		{"a public one of IPv6", Addresses{}, "2606:4700::1111", true},
		{"loopback", Addresses{}, "127.0.0.1", false},
		{"all of loopback", Addresses{}, "127.9.8.7", false},
		{"loopback of IPv6", Addresses{}, "::1", false},
		{"loopback under all that is allowed", everything, "127.0.0.1", false},
		{"loopback of IPv6 under all that is allowed", everything, "::1", false},
		{"loopback that is named", allow("127.0.0.1/32"), "127.0.0.1", true},
		{"another loopback than is named", allow("127.0.0.1/32"), "127.0.0.2", false},
		{"loopback of IPv6 that is named", allow("::1/128"), "::1", true},
		{"nowhere", everything, "0.0.0.0", false},
		{"nowhere of IPv6", everything, "::", false},
		{"this network", everything, "0.1.2.3", false},
		{"broadcast", everything, "255.255.255.255", false},
		{"multicast", everything, "224.0.0.1", false},
		{"multicast of IPv6", everything, "ff02::1", false},
		{"link-local", everything, "169.254.1.1", false},
		{"link-local that is named", allow("169.254.0.0/16"), "169.254.1.1", false},
		{"link-local of IPv6", everything, "fe80::1", false},
		{"link-local with a zone", everything, "fe80::1%eth0", false},
		{"metadata of AWS, Google and Azure", allow("169.254.169.254/32"), "169.254.169.254", false},
		{"metadata of AWS by IPv6", everything, "fd00:ec2::254", false},
		{"metadata of Alibaba", everything, "100.100.100.200", false},
		{"metadata of Azure's host", everything, "168.63.129.16", false},
		{"a private one", Addresses{}, "10.1.2.3", false},
		{"a private one that is allowed", allow("10.1.0.0/16"), "10.1.2.3", true},
		{"a private one beside what is allowed", allow("10.1.0.0/16"), "10.2.2.3", false},
		{"a private one of IPv6", Addresses{}, "fd12::1", false},
		{"a private one of IPv6 that is allowed", allow("fd12::/16"), "fd12::1", true},
		{"what carriers share", Addresses{}, "100.64.0.1", false},
		{"mapped loopback", Addresses{}, "::ffff:127.0.0.1", false},
		{"mapped metadata", everything, "::ffff:169.254.169.254", false},
		{"a mapped private one that is allowed", allow("10.1.0.0/16"), "::ffff:10.1.2.3", true},
		{"a mapped public one", Addresses{}, "::ffff:93.184.215.14", true},
		{"loopback by NAT64", Addresses{}, "64:ff9b::7f00:1", false},
		{"metadata by NAT64", everything, "64:ff9b::a9fe:a9fe", false},
		{"a public one by NAT64", Addresses{}, "64:ff9b::5db8:d70e", true},
		{"a private one by NAT64 that is allowed", allow("10.1.0.0/16"), "64:ff9b::a01:203", true},
		{"metadata by 6to4", everything, "2002:a9fe:a9fe::1", false},
		{"a private one by 6to4", Addresses{}, "2002:a01:203::1", false},
		{"metadata by the translated form", everything, "::ffff:0:a9fe:a9fe", false},
		{"metadata by the compatible form", everything, "::a9fe:a9fe", false},
		{"a tunnel of Teredo's", Addresses{}, "2001:0:4136:e378::1", false},
		{"another NAT64", Addresses{}, "64:ff9b:1::a9fe:a9fe", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.with.Check(netip.MustParseAddr(tt.address))
			if _, refused := errors.AsType[*AddressError](err); refused == tt.fine || err != nil && !refused {
				t.Errorf("%s: %v", tt.address, err)
			}
		})
	}
	if Addresses.Check(Addresses{}, netip.Addr{}) == nil {
		t.Error("no address is fine")
	}
}
