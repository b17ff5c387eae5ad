package server

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

var hostGrammar = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9._-]{0,251}[a-zA-Z0-9_])?$`)

// checkAddress accepts what a listener can be bound to. The host may be empty,
// which means all addresses of the machine, and the port 0, which means any.
func checkAddress(g given) error {
	const advice = "write HOST:PORT, for example 127.0.0.1:5000"
	host, port, err := net.SplitHostPort(g.text)
	if err != nil {
		return g.errorf("is not an address: %s", advice)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return g.errorf("has no port between 0 and 65535: %s", advice)
	}
	if host != "" && !validHost(host) {
		return g.errorf("names no valid host: %s", advice)
	}
	return nil
}

// validHost tells whether s is an IP address, without brackets, or may be a name.
func validHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || hostGrammar.MatchString(s)
}

// validAuthority tells whether s is a host with or without a port, as URLs have it.
func validAuthority(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host = s
		if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
			host = strings.TrimSuffix(inner, "]")
		}
		return validHost(host) && (host != s || !strings.Contains(s, ":"))
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0 && validHost(host)
}

// parseBaseURL accepts http://HOST[:PORT] and https://HOST[:PORT]. The host comes
// back in lower case.
func parseBaseURL(g given) (*url.URL, error) {
	const advice = "write http://HOST or https://HOST, with :PORT where it is needed"
	u, err := url.Parse(g.text)
	switch {
	case err != nil:
		return nil, g.errorf("is not a URL: %s", advice)
	case u.User != nil:
		return nil, g.errorf("must not hold a user name or password: %s, and the account under credentials in the configuration file", advice)
	case u.Scheme != "http" && u.Scheme != "https", !validAuthority(u.Host):
		return nil, g.errorf("is not a URL of http or https with a host: %s", advice)
	case strings.Trim(u.Path, "/") != "":
		return nil, g.errorf("must not have a path: %s", advice)
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, g.errorf("must not have a query or fragment: %s", advice)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// parseNetwork accepts a CIDR block, and a single address as the block of its own.
func parseNetwork(g given) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(g.text); err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(g.text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, g.errorf("is not a network: write it in CIDR form, for example 10.0.0.0/8 or fd00::/8")
}

func parseDuration(g given) (time.Duration, error) {
	d, err := time.ParseDuration(g.text)
	if err != nil || d < 0 {
		return 0, g.errorf("is not a duration: write a number with its unit, for example 30s, 1m or 1h30m")
	}
	return d, nil
}

// parseLevel accepts a share of a pull limit, as in 20%.
func parseLevel(g given) (int, error) {
	share, isShare := strings.CutSuffix(g.text, "%")
	percent, err := strconv.ParseUint(share, 10, 8)
	if err != nil || !isShare || percent < 1 || percent > 99 {
		return 0, g.errorf("is not a share of a pull limit between 1%% and 99%%: write it like 20%%")
	}
	return int(percent), nil
}

// checkUpstreamName holds the name of an upstream to the grammar of a project:
// one segment of an OCI repository name.
func checkUpstreamName(g given) error {
	switch {
	case strings.Contains(g.text, "/"):
		return g.errorf("must not hold a slash: it becomes the project through which images are pulled, for example docker-hub")
	case oci.CheckName(g.text) != nil:
		return g.errorf("is not a project name: write lower-case letters, digits, and single . _ - between them, for example docker-hub")
	case slices.Contains(oci.ReservedProjects(), g.text):
		return g.errorf("is reserved: choose another name than %s", strings.Join(oci.ReservedProjects(), ", "))
	}
	return nil
}

// parseHost accepts a host with or without a port: a registry's name in image
// references and in ?ns=, or one that asks for its credentials.
func parseHost(g given) (string, error) {
	if g.text != strings.ToLower(g.text) || !validAuthority(g.text) {
		return "", g.errorf("is not a host: write it in lower case, with :PORT where it is needed, for example quay.io")
	}
	return g.text, nil
}

// parseAudience accepts the name of those whom a token is meant for.
func parseAudience(g given) (string, error) {
	if g.text == "" {
		return "", g.errorf("is no audience: write the one that tokens are made for, as in kubectl create token --audience")
	}
	return g.text, nil
}

// cleanPassword takes the end of the line off a password that was kept in a file.
func cleanPassword(text []byte) (Password, error) {
	if len(text) > maxPasswordSize {
		return "", errors.New("is larger than " + strconv.Itoa(maxPasswordSize) + " bytes")
	}
	password := strings.TrimRight(string(text), "\r\n")
	switch {
	case password == "":
		return "", errors.New("is empty")
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", errors.New("holds more than one line")
	}
	return Password(password), nil
}
