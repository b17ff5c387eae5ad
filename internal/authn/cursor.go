package authn

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// cursorMark begins a sealed cursor; no name of a project or a repository does.
	cursorMark = "~"
	// cursorPurpose keeps what seals cursors apart from what signs registry tokens.
	cursorPurpose = "larder place in a list, version 1"
	// maxCursor is the longest cursor that is looked at, in bytes.
	maxCursor = 1024
)

// ErrCursor is returned for a cursor that this registry did not make.
var ErrCursor = errors.New("this place in the list is not one that the registry has named: begin the list anew")

// SealCursor hides a name, at which a list goes on, from the client that is to send it
// back: it may be the name of something that the client may not see.
func (a *Authenticator) SealCursor(ctx context.Context, name string) (string, error) {
	key, err := a.keys.newest(ctx)
	if err != nil {
		return "", fmt.Errorf("sealing a place in a list: %w", err)
	}
	aead, err := cursorCipher(key.Secret)
	if err != nil {
		return "", err
	}
	nonce := randomBytes(aead.NonceSize())
	sealed := aead.Seal(nonce, nonce, []byte(name), nil)
	return cursorMark + key.ID + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenCursor tells the name in a sealed cursor; a plain name is given back as it is. The
// error is ErrCursor for one that this registry did not seal.
func (a *Authenticator) OpenCursor(ctx context.Context, cursor string) (string, error) {
	rest, ok := strings.CutPrefix(cursor, cursorMark)
	if !ok {
		return cursor, nil
	}
	id, text, _ := strings.Cut(rest, ".")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(cursor) > maxCursor {
		return "", ErrCursor
	}
	secret, err := a.keys.find(ctx, id)
	if errors.Is(err, ErrTokenInvalid) {
		return "", ErrCursor
	}
	if err != nil {
		return "", fmt.Errorf("opening a place in a list: %w", err)
	}
	aead, err := cursorCipher(secret)
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", ErrCursor
	}
	name, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return "", ErrCursor
	}
	return string(name), nil
}

func cursorCipher(secret []byte) (cipher.AEAD, error) {
	key := hmac.New(sha256.New, secret)
	key.Write([]byte(cursorPurpose))
	block, err := aes.NewCipher(key.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("making the cipher of cursors: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher of cursors: %w", err)
	}
	return aead, nil
}
