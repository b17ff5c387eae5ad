package server

import (
	"fmt"
	"net/url"
	"strings"
)

// Features that are announced but not in this version are refused, never
// ignored: whoever asks for one would otherwise believe to have it.

const (
	withoutDatabase = "remove it: metadata is kept in SQLite under the data folder"
	withoutStorage  = "remove it: blobs are kept as files under the data folder"
)

// absent is the error for such a feature. what may hold the value where that is
// no secret.
func absent(what, from, advice string) error {
	return fmt.Errorf("%s (%s) is not in this version of Larder; %s", what, from, advice)
}

// refuseDatabase is called for the flag, the variable and the key. The text is
// never repeated: it is likely to hold a password.
func (l *loader) refuseDatabase(g given) {
	switch {
	case g.text == "":
	case strings.HasPrefix(g.from, "flag ") && holdsPassword(g.text):
		l.fail(fmt.Errorf("%s holds a password, which every user of this machine can read in the list of processes: a secret belongs in the environment or in a file; this version of Larder has no database but SQLite under the data folder, so remove the flag", g.from))
	default:
		l.fail(absent(g.key, g.from, withoutDatabase))
	}
}

func (l *loader) refuseStorage(g given) {
	if g.text != "" {
		l.fail(absent(g.key, g.from, withoutStorage))
	}
}

// holdsPassword tells whether the text is a URL or a list of key=value pairs, the
// two ways to write a PostgreSQL address, with a password in it.
func holdsPassword(text string) bool {
	if strings.Contains(strings.ToLower(text), "password=") {
		return true
	}
	if u, err := url.Parse(text); err == nil {
		_, set := u.User.Password()
		return set
	}
	before, _, found := strings.Cut(text, "@")
	return found && strings.Contains(strings.TrimPrefix(before, "postgres://"), ":")
}
