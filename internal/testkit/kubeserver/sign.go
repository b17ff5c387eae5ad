package kubeserver

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// Issuer is who has made the server's tokens for service accounts, and whom they are for
// when nothing else is said.
const Issuer = "https://kubernetes.default.svc"

// Claims are what a token says.
type Claims map[string]any

// Key is what the server signs its tokens with: tests make those that it would not make.
func (s *Server) Key() *rsa.PrivateKey { return s.key }

// Sign makes a JSON Web Token (RFC 7515, RS256).
func Sign(key *rsa.PrivateKey, claims Claims) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return text + "." + encode(signature), err
}
