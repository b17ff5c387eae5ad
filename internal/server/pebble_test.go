package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/larder-registry/larder/internal/testkit"
)

// pebble is a certificate authority that speaks ACME, for tests.
type pebble struct {
	directory, management string
	ca                    string // file with the certificate of its own listeners
	process               *exec.Cmd
	output                bytes.Buffer
}

func pebbleProgram(t *testing.T) string {
	t.Helper()
	program, err := testkit.Tool{Name: "pebble", Source: "github.com/letsencrypt/pebble/v2/cmd/pebble", Version: "v2.10.1"}.Program()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// startPebble starts an authority that finds every name at 127.0.0.1, and there a
// server at the address.
func startPebble(t *testing.T, program, address string) *pebble {
	t.Helper()
	listen, management := testkit.NewAddress(t), testkit.NewAddress(t)
	certFile, keyFile := loopbackCertificate(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management,
		"certificate": certFile, "privateKey": keyFile,
		"httpPort": portOf(t, testkit.NewAddress(t)), "tlsPort": portOf(t, address),
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &pebble{directory: "https://" + listen + "/dir", management: "https://" + management, ca: certFile}
	p.process = exec.Command(program, "-config", writeFile(t, "pebble.json", string(config)), "-dnsserver", loopbackDNS(t))
	p.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	p.process.Stdout, p.process.Stderr = &p.output, &p.output
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("what the authority printed:\n%s", p.output.String())
		}
	})
	return p
}

func (p *pebble) stop() {
	if p.process.ProcessState == nil {
		_ = p.process.Process.Kill()
		_ = p.process.Wait() // it was killed
	}
}

// roots are what clients of the certificates would trust.
func (p *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	own, err := os.ReadFile(p.ca)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	deadline := time.Now().Add(acmePatience)
	for {
		resp, err := client.Get(p.management + "/roots/0")
		if err == nil {
			root, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			roots := x509.NewCertPool()
			if err != nil || !roots.AppendCertsFromPEM(root) {
				t.Fatalf("the authority's root: %v\n%s", err, root)
			}
			return roots
		}
		if time.Now().After(deadline) {
			t.Fatalf("the authority does not answer: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// loopbackDNS answers, over TCP as the authority asks, that every name is 127.0.0.1.
func loopbackDNS(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg).SetReply(question)
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			}}
		}
		_ = w.WriteMsg(reply)
	})
	s := &dns.Server{Listener: listener, Handler: answer}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-ended
	})
	return listener.Addr().String()
}

// loopbackCertificate writes a certificate for 127.0.0.1 that has signed itself.
func loopbackCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: certificate}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return tcp.Port
}
