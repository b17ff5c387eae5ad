package server

import (
	"fmt"

	"github.com/larder-registry/larder/internal/credentials"
)

// credentialKeyVariable holds the secret that passwords of upstreams are encrypted by.
const credentialKeyVariable = "LARDER_CREDENTIAL_KEY"

// credentialKey takes the key of the environment, else the file's.
func (l *loader) credentialKey(lookupEnv func(string) (string, bool)) {
	text, set := lookupSet(lookupEnv, credentialKeyVariable)
	switch {
	case set && len(text) < credentials.MinSecret:
		l.fail(fmt.Errorf("environment variable %s is too short: make it with openssl rand -hex 32", credentialKeyVariable))
	case set:
		l.config.CredentialKey = Password(text)
	case l.credentialKeyFile.text != "":
		key, err := l.password(l.credentialKeyFile)
		if err == nil && len(key) < credentials.MinSecret {
			err = l.credentialKeyFile.errorf("holds a key that is too short: make it with openssl rand -hex 32")
		}
		if err != nil {
			l.fail(err)
		}
		l.config.CredentialKey = key
	}
}
