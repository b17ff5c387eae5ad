package telemetry

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func prefixes(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	var found []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

func request(remote string, header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.RemoteAddr = remote
	r.Host = "direct.example"
	if header != nil {
		r.Header = header
	}
	return r
}

func TestTheClientsAddressComesFromTrustedHopsOnly(t *testing.T) {
	client := NewClientAddress(prefixes(t, "10.0.0.0/8", "fd00::/8", "::ffff:192.0.2.0/120"))
	tests := []struct {
		name   string
		remote string
		header http.Header
		want   string
	}{
		{"no proxy", "203.0.113.7:1234", nil, "203.0.113.7"},
		{"a stranger's header is not believed", "203.0.113.7:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "203.0.113.7"},
		{"a stranger's Forwarded is not believed", "203.0.113.7:1", http.Header{"Forwarded": {"for=1.2.3.4"}}, "203.0.113.7"},
		{"one trusted proxy", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "1.2.3.4"},
		{"a trusted proxy without a header is the client", "10.0.0.1:1", nil, "10.0.0.1"},
		{"what the client put in front is not believed", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"9.9.9.9, 1.2.3.4"}}, "1.2.3.4"},
		{"two trusted proxies", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"9.9.9.9, 1.2.3.4 ,\t10.0.0.2"}}, "1.2.3.4"},
		{"several lines are one list", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"9.9.9.9", "1.2.3.4", "10.0.0.2"}}, "1.2.3.4"},
		{"a client inside of the trusted network", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		{"an address with a port", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4:5678"}}, "1.2.3.4"},
		{"IPv6", "[fd00::1]:1", http.Header{"X-Forwarded-For": {"2001:db8::1"}}, "2001:db8::1"},
		{"IPv6 with brackets and a port", "[fd00::1]:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]:80"}}, "2001:db8::1"},
		{"IPv6 with brackets", "[fd00::1]:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]"}}, "2001:db8::1"},
		{"an IPv4-mapped peer is its IPv4 address", "[::ffff:10.0.0.1]:1", http.Header{"X-Forwarded-For": {"::ffff:1.2.3.4"}}, "1.2.3.4"},
		{"an IPv4-mapped prefix is its IPv4 prefix", "192.0.2.9:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "1.2.3.4"},
		{"a zone is dropped", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"an unreadable hop ends the walk at who reported it", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4, junk, 10.0.0.2"}}, "10.0.0.2"},
		{"an empty hop ends the walk", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4,,10.0.0.2"}}, "10.0.0.2"},
		{"an empty header", "10.0.0.1:1", http.Header{"X-Forwarded-For": {""}}, "10.0.0.1"},
		{"unknown", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"unknown"}}, "10.0.0.1"},
		{"Forwarded", "10.0.0.1:1", http.Header{"Forwarded": {`For="[2001:db8::1]:80";proto=https, for=10.0.0.2`}}, "2001:db8::1"},
		{"Forwarded without quotes", "10.0.0.1:1", http.Header{"Forwarded": {`for=[2001:db8::1]:80 ; by=10.0.0.1`}}, "2001:db8::1"},
		{"a hidden hop in Forwarded", "10.0.0.1:1", http.Header{"Forwarded": {`for=1.2.3.4, for=_hidden`}}, "10.0.0.1"},
		{"a client's open quote does not swallow the proxy's element", "10.0.0.1:1", http.Header{"Forwarded": {`for=9.9.9.9;by=", for=1.2.3.4;host="x"`}}, "1.2.3.4"},
		{"an element hidden in a proxy's quotes is not believed", "10.0.0.1:1", http.Header{"Forwarded": {`for=1.2.3.4;host="x,for=9.9.9.9"`}}, "10.0.0.1"},
		{"a malformed element says nothing", "10.0.0.1:1", http.Header{"Forwarded": {`for=1.2.3.4;`, `for="1.2.3.4`}}, "10.0.0.1"},
		{"X-Forwarded-For is read before Forwarded", "10.0.0.1:1", http.Header{"Forwarded": {"for=9.9.9.9"}, "X-Forwarded-For": {"1.2.3.4"}}, "1.2.3.4"},
		{"a Unix socket has no address", "@", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := client.Of(request(tt.remote, tt.header)).String(); got != tt.want {
				t.Errorf("address is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTheOriginIsWhatTheClientUsed(t *testing.T) {
	client := NewClientAddress(prefixes(t, "10.0.0.0/8"))
	tests := []struct {
		name   string
		remote string
		header http.Header
		want   string
	}{
		{"no proxy", "1.2.3.4:1", nil, "http://direct.example"},
		{"a stranger's headers are not believed", "1.2.3.4:1", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}}, "http://direct.example"},
		{"a trusted proxy", "10.0.0.1:1", http.Header{"X-Forwarded-Proto": {"HTTPS"}, "X-Forwarded-Host": {"r.example:8443"}}, "https://r.example:8443"},
		{"a proxy that tells the scheme only", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}}, "https://direct.example"},
		{"a hidden client does not hide the rest", "10.0.0.1:1", http.Header{"Forwarded": {"for=_x;proto=https;host=r.example"}}, "https://r.example"},
		{"two proxies that append", "10.0.0.1:1", http.Header{
			"X-Forwarded-For": {"9.9.9.9, 1.2.3.4, 10.0.0.2"}, "X-Forwarded-Proto": {"gopher, https, http"}, "X-Forwarded-Host": {"evil.example, r.example, inner.example"},
		}, "https://r.example"},
		{"two proxies of which the last replaces", "10.0.0.1:1", http.Header{
			"X-Forwarded-For": {"1.2.3.4, 10.0.0.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"r.example"},
		}, "https://r.example"},
		{"Forwarded of the outermost trusted proxy", "10.0.0.1:1", http.Header{
			"Forwarded": {`for=9.9.9.9;proto=http;host=evil.example, for=1.2.3.4;proto=https;host="r.example:8443", for=10.0.0.2;proto=http;host=inner`},
		}, "https://r.example:8443"},
		{"a client's own headers beside a proxy's Forwarded are not read", "10.0.0.1:1", http.Header{
			"Forwarded": {"for=1.2.3.4;proto=https;host=r.example"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"evil.example"},
		}, "https://r.example"},
		{"a scheme that is none is not taken", "10.0.0.1:1", http.Header{"X-Forwarded-Proto": {"javascript"}}, "http://direct.example"},
		{"a host that is none is not taken", "10.0.0.1:1", http.Header{"X-Forwarded-Host": {`evil.example/"`}}, "http://direct.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scheme, host := client.Origin(request(tt.remote, tt.header))
			if got := scheme + "://" + host; got != tt.want {
				t.Errorf("origin is %s, want %s", got, tt.want)
			}
		})
	}

	r := request("1.2.3.4:1", nil)
	r.TLS = &tls.ConnectionState{}
	if scheme, _ := client.Origin(r); scheme != "https" {
		t.Errorf("the scheme of a TLS connection is %s", scheme)
	}
}

func TestWithoutTrustedProxiesNoHeaderIsBelieved(t *testing.T) {
	r := request("127.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"evil.example"}})
	client := NewClientAddress(nil)
	if got := client.Of(r).String(); got != "127.0.0.1" {
		t.Errorf("address is %s", got)
	}
	if _, host := client.Origin(r); host != "direct.example" {
		t.Errorf("host is %s", host)
	}
}

// FuzzForwardedHeaders: whatever a client sends, what a trusted proxy appends to
// it decides.
func FuzzForwardedHeaders(f *testing.F) {
	client := NewClientAddress(prefixes(f, "10.0.0.0/8"))
	for _, sent := range []string{"", "1.2.3.4", `for="`, `for=1.2.3.4;by="\`, "for=10.0.0.9, for=_x", "[::1", ",,,", `"`, "10.0.0.3"} {
		f.Add(sent)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		for name, appended := range map[string]string{
			"X-Forwarded-For": "203.0.113.7",
			"Forwarded":       `for=203.0.113.7;proto=https;host="r.example"`,
		} {
			r := request("10.0.0.1:1", http.Header{name: {sent + ", " + appended}})
			if got := client.Of(r).String(); got != "203.0.113.7" {
				t.Errorf("%s: %q makes the address %s", name, sent, got)
			}
			r.Header[name] = []string{sent}
			if got := client.Of(r); !got.IsValid() || got != plain(got) {
				t.Errorf("%s: %q makes the address %s", name, sent, got)
			}
			if scheme, host := client.Origin(r); scheme != "http" && scheme != "https" || !validHost(host) {
				t.Errorf("%s: %q makes the origin %s://%s", name, sent, scheme, host)
			}
			stranger := request("203.0.113.9:1", http.Header{name: {sent}, "X-Forwarded-Proto": {sent}, "X-Forwarded-Host": {sent}})
			if got := client.Of(stranger).String(); got != "203.0.113.9" {
				t.Errorf("%s: a stranger's %q makes the address %s", name, sent, got)
			}
		}
	})
}
