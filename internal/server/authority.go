package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	authorityYears = 10
	// serverLifetime is the most that Apple's and other clients accept.
	serverLifetime = 397 * 24 * time.Hour
	// clockSkew is how far a client's clock may lag behind.
	clockSkew = time.Hour
)

// authority signs server certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// keyPair is a certificate and its key in PEM.
type keyPair struct{ certificate, key []byte }

// newAuthority makes a certificate authority that may sign servers' certificates
// but no further authorities.
func newAuthority(now time.Time) (*keyPair, error) {
	template := &x509.Certificate{
		// The date tells two authorities apart in a list of trusted ones.
		Subject:               pkix.Name{Organization: []string{"Larder"}, CommonName: "Larder certificate authority, " + now.UTC().Format(time.DateTime)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the certificate authority: %w", err)
	}
	return sealed(template, template, key, key)
}

func asAuthority(pair *tls.Certificate) (*authority, error) {
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("the certificate kept for the certificate authority may not sign others")
	}
	return &authority{certificate: pair.Leaf, key: key}, nil
}

// issue makes a server certificate for host names and IP addresses. It does not
// outlive the authority.
func (a *authority) issue(names []string, now time.Time) (*keyPair, error) {
	if len(names) == 0 {
		return nil, errors.New("making a server certificate: there is no name to make it for")
	}
	notBefore := now.Add(-clockSkew)
	notAfter := notBefore.Add(serverLifetime)
	if notAfter.After(a.certificate.NotAfter) {
		notAfter = a.certificate.NotAfter
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Larder"}},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the server certificate: %w", err)
	}
	return sealed(template, a.certificate, key, a.key)
}

// sealed signs a certificate for key with the signer that parent belongs to. The
// serial number is chosen at random.
func sealed(template, parent *x509.Certificate, key *ecdsa.PrivateKey, signer crypto.Signer) (*keyPair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a certificate's key: %w", err)
	}
	return &keyPair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}
