package oci

import "net/netip"

// Caller is on whose behalf something is read. The zero value is a stranger: a
// caller without credentials.
type Caller struct {
	User string
	// Project is the one that a service account belongs to; "" for everybody else.
	Project string
	// Projects are those that the caller is a member of, as far as the upstream that is
	// asked has credentials of their own: these may be used for the caller.
	Projects []string
	// Shares are those that the caller is a member of, as far as the pulls of the upstream
	// that is asked are shared out among projects.
	Shares []string
	// Spares is the share of an account's pull limit, in percent, that is left to others: no
	// pull is made for the caller while the account has no more than that.
	Spares int
	// Client is where the request comes from; see ClientOf. It is the zero prefix when
	// nobody has asked for it from anywhere.
	Client netip.Prefix
	// Namespace and Workload are those of a cluster that the image is for, where they
	// are known.
	Namespace, Workload string
}

// UserSelf is the user in whose name the registry does what nobody asked for.
const UserSelf = "system:larder"

// UserRefresh is the one in whose name tags are refreshed before anybody pulls them.
const UserRefresh = UserSelf + ":refresh"

// Stranger tells whether the caller showed no credentials.
func (c Caller) Stranger() bool { return c.User == "" }

// ClientOf is a client as pull limits know it: an IPv4 address, or the /64 of an IPv6
// one. All whose address is not known are the zero prefix.
func ClientOf(from netip.Addr) netip.Prefix {
	bits := 32
	if from = from.Unmap(); from.Is6() {
		bits = 64
	}
	prefix, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
