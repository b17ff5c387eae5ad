package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/larder-registry/larder/internal/api"
)

// authFile is a file in which Docker and Podman keep logins (containers-auth.json(5)).
// What is not understood is kept as it is.
type authFile struct {
	all   map[string]json.RawMessage
	auths map[string]json.RawMessage
}

// authEntry is one login of the file.
type authEntry struct {
	Auth string `json:"auth"` // of Basic (RFC 7617)
}

// readAuthFile returns an empty one where there is no file.
func readAuthFile(path string) (*authFile, error) {
	f := &authFile{all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(text)) == 0 {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f.all)
	}
	if auths, ok := f.all["auths"]; ok && err == nil {
		err = json.Unmarshal(auths, &f.auths)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the logins in %s: %w; repair the file, or name another with --to", path, err)
	}
	if f.all == nil {
		f.all = map[string]json.RawMessage{}
	}
	if f.auths == nil {
		f.auths = map[string]json.RawMessage{}
	}
	return f, nil
}

// set adds or replaces the login of a host.
func (f *authFile) set(host string, token api.Token) { f.auths[host] = entryOf(token) }

// entryOf shows a token as a password. A user name with a colon would break Basic, and
// with a token the name is free.
func entryOf(token api.Token) json.RawMessage {
	user := token.User
	if strings.Contains(user, ":") {
		user = "unused"
	}
	text, _ := json.Marshal(authEntry{Auth: base64.StdEncoding.EncodeToString([]byte(user + ":" + token.Token))}) // strings cannot fail
	return text
}

// helper is the program that Docker asks for a host's login instead of the file, "" for
// none.
func (f *authFile) helper(host string) string {
	var store string
	var helpers map[string]string
	// What has another form is none of Docker's: it is kept, and not looked at.
	_ = json.Unmarshal(f.all["credHelpers"], &helpers)
	_ = json.Unmarshal(f.all["credsStore"], &store)
	if helper := helpers[host]; helper != "" {
		return helper
	}
	return store
}

func (f *authFile) text() ([]byte, error) {
	auths, err := json.Marshal(f.auths)
	if err != nil {
		return nil, fmt.Errorf("writing logins: %w", err)
	}
	f.all["auths"] = auths
	text, err := json.MarshalIndent(f.all, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("writing logins: %w", err)
	}
	return append(text, '\n'), nil
}

func (f *authFile) write(path string) error {
	text, err := f.text()
	if err != nil {
		return err
	}
	return writePrivately(path, text)
}
