package hubsim

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// signer vouches for tokens and links with a key that dies with the Hub.
type signer struct {
	key [32]byte
}

func newSigner() *signer {
	s := &signer{}
	// It never returns an error: the program ends when there is no randomness.
	_, _ = rand.Read(s.key[:])
	return s
}

// sign is the signature of text for one purpose, so that a link's signature
// never passes for a token's.
func (s *signer) sign(purpose, text string) string {
	mac := hmac.New(sha256.New, s.key[:])
	_, _ = mac.Write([]byte(purpose + "\n" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *signer) valid(purpose, text, signature string) bool {
	return hmac.Equal([]byte(s.sign(purpose, text)), []byte(signature))
}
