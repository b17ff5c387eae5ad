package credentials

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// sealVersion begins what is sealed in the way of this version.
	sealVersion = 1
	// MinSecret is how long a secret must be from which the key is made, in bytes.
	MinSecret = 32
	// ofUpstreams and ofWebhooks are what keys are for: a secret is not opened by a key for
	// others.
	ofUpstreams = "larder: passwords of upstreams"
	ofWebhooks  = "larder: secrets of webhooks"
)

// KeySource finds the secret from which the key is made. With create it makes one where
// there is none and it may; else the error is ErrNoKey.
type KeySource func(create bool) ([]byte, error)

// errShut says that a password cannot be read.
var errShut = errors.New("it was encrypted by another key, or is damaged")

// seal encrypts a password by AES-256-GCM. It opens with the same secret, use and binding only.
func seal(secret []byte, use string, binding, password []byte) ([]byte, error) {
	box, err := newBox(secret, use)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	return box.Seal(append([]byte{sealVersion}, nonce...), nonce, password, binding), nil
}

func unseal(secret []byte, use string, binding, sealed []byte) ([]byte, error) {
	box, err := newBox(secret, use)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+box.NonceSize() || sealed[0] != sealVersion {
		return nil, errShut
	}
	nonce, text := sealed[1:1+box.NonceSize()], sealed[1+box.NonceSize():]
	password, err := box.Open(nil, nonce, text, binding)
	if err != nil {
		return nil, errShut
	}
	return password, nil
}

func newBox(secret []byte, use string) (cipher.AEAD, error) {
	if len(secret) < MinSecret {
		return nil, ErrNoKey
	}
	key, err := hkdf.Key(sha256.New, secret, nil, use, 32)
	if err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	return cipher.NewGCM(block)
}

// binding is what a password is for: put into another row it does not open.
func binding(words ...string) []byte {
	text, err := json.Marshal(words)
	if err != nil { // never: they are strings
		return nil
	}
	return text
}
