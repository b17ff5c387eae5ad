package pulllimit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// subject is what pulls are counted under: an account or an address, and the project where
// that has a limit of its own.
type subject struct {
	project string // "" for all that have none
	user    string // "" for a stranger
	network netip.Addr
}

const (
	ofAccount = "account"
	ofAddress = "address"
	unknown   = "unknown"
	// maxUser is the longest name that is kept as it is, in bytes.
	maxUser = 512
)

func subjectOf(c Caller, project string) subject {
	if c.Anonymous() {
		return subject{project: project, network: Network(c.Address)}
	}
	return subject{project: project, user: kept(c.User)}
}

// kept is the name of an account in a form that every database can hold: a cluster may call
// its users anything.
func kept(user string) string {
	if len(user) <= maxUser && utf8.ValidString(user) && strings.IndexByte(user, 0) < 0 {
		return user
	}
	sum := sha256.Sum256([]byte(user))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Network is what one party usually has: an IPv4 address, or the first 64 bits of an IPv6
// one. All whose address is not known have the zero value.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	network, err := a.Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return network.Addr()
}

// source is what Docker-RateLimit-Source says.
func (s subject) source() string {
	switch {
	case s.user != "":
		return s.user
	case s.network.IsValid():
		return s.network.String()
	}
	return unknown
}

// key is the subject as the database knows it: the project, what is counted, and whose.
func (s subject) key() string {
	if s.user != "" {
		return s.project + " " + ofAccount + " " + s.user
	}
	return s.project + " " + ofAddress + " " + s.source()
}

func parseSubject(key string) (subject, bool) {
	project, rest, _ := strings.Cut(key, " ")
	kind, who, ok := strings.Cut(rest, " ")
	switch {
	case !ok || who == "":
		return subject{}, false
	case kind == ofAccount:
		return subject{project: project, user: who}, true
	case kind != ofAddress:
		return subject{}, false
	case who == unknown:
		return subject{project: project}, true
	}
	network, err := netip.ParseAddr(who)
	return subject{project: project, network: network}, err == nil
}
