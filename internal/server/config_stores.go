package server

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
)

// The keys of object storage come from the environment alone, under the names that
// every S3 client knows.
const (
	accessKeyVariable = "AWS_ACCESS_KEY_ID"
	secretKeyVariable = "AWS_SECRET_ACCESS_KEY"
)

// setDatabase never repeats the text: it is likely to hold a password.
func (l *loader) setDatabase(g given) {
	if strings.HasPrefix(g.from, "flag ") && holdsPassword(g.text) {
		l.fail(fmt.Errorf("%s holds a password, which every user of this machine can read in the list of processes: give the URL in the environment variable LARDER_DATABASE, or the name of a file that holds it as databaseFile", g.from))
		return
	}
	if err := metadata.CheckPostgresURL(g.text); g.text != "" && err != nil {
		l.fail(fmt.Errorf("database (%s): %w", g.from, err))
		return
	}
	l.config.Database = Password(g.text)
}

// databaseFile reads the database's URL from the file that was named for it.
func (r *fileReader) databaseFile(e entry) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	if _, twice := r.loader.given["database"]; twice {
		r.fail(fmt.Errorf("%s (%s) stands beside database: keep one of the two", g.key, g.from))
		return
	}
	database, err := r.loader.password(g)
	if err != nil {
		r.fail(err)
		return
	}
	r.loader.given["database"] = g
	r.loader.setDatabase(given{key: "database", text: string(database), from: g.from + ", file " + g.text})
}

func (l *loader) setStorage(g given) {
	l.config.Storage = nil
	if g.text == "" {
		return
	}
	storage, err := parseStorage(g.text)
	if err != nil {
		l.fail(fmt.Errorf("storage (%s): %w", g.from, err))
		return
	}
	l.config.Storage = storage
}

// storageKeys completes the storage with the keys of the environment.
func (l *loader) storageKeys(lookupEnv func(string) (string, bool)) {
	storage := l.config.Storage
	if storage == nil {
		return
	}
	storage.AccessKey, _ = lookupSet(lookupEnv, accessKeyVariable)
	storage.SecretKey, _ = lookupSet(lookupEnv, secretKeyVariable)
	if storage.AccessKey == "" || storage.SecretKey == "" {
		l.fail(l.given["storage"].errorf("needs keys: set the environment variables %s and %s", accessKeyVariable, secretKeyVariable))
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
