package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	toDatabaseVariable = "LARDER_TO_DATABASE"
	toStorageVariable  = "LARDER_TO_STORAGE"
)

// Target says to where a registry is moved; what is empty stays where it is.
type Target struct {
	Database     string // postgres://..., without a password, or sqlite
	DatabaseFile string // a file that holds it, with a password
	Storage      string // s3://..., or files
}

// LoadTarget is the configuration of a registry after its move. What the target leaves
// open, the environment may say. No error holds a password.
func LoadTarget(from Config, t Target, lookupEnv func(string) (string, bool)) (Config, error) {
	to := from
	database, err := t.database(lookupEnv)
	if err != nil {
		return Config{}, err
	}
	switch database {
	case "":
	case "sqlite":
		to.Database = ""
	default:
		if err := metadata.CheckPostgresURL(database); err != nil {
			return Config{}, fmt.Errorf("the new database: %w; or write sqlite for a file in the data folder", err)
		}
		to.Database = Password(database)
	}
	if t.Storage == "" {
		t.Storage, _ = lookupSet(lookupEnv, toStorageVariable)
	}
	switch t.Storage {
	case "":
	case "files":
		to.Storage = nil
	default:
		if to.Storage, err = targetStorage(t.Storage, lookupEnv); err != nil {
			return Config{}, err
		}
	}
	return to, nil
}

func (t Target) database(lookupEnv func(string) (string, bool)) (string, error) {
	switch {
	case t.Database != "" && t.DatabaseFile != "":
		return "", errors.New("give one of --to-database and --to-database-file only")
	case holdsPassword(t.Database):
		return "", fmt.Errorf("--to-database holds a password, which every user of this machine can read in the list of processes: give the URL in the environment variable %s, or the name of a file that holds it with --to-database-file", toDatabaseVariable)
	case t.Database != "":
		return t.Database, nil
	case t.DatabaseFile != "":
		text, err := ReadFile(t.DatabaseFile)
		if err != nil {
			return "", fmt.Errorf("reading the URL of the new database: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	text, _ := lookupSet(lookupEnv, toDatabaseVariable)
	return text, nil
}

func targetStorage(text string, lookupEnv func(string) (string, bool)) (*Storage, error) {
	storage, err := parseStorage(text)
	if err != nil {
		return nil, fmt.Errorf("the new storage: %w; or write files for the data folder", err)
	}
	storage.AccessKey, _ = lookupSet(lookupEnv, accessKeyVariable)
	storage.SecretKey, _ = lookupSet(lookupEnv, secretKeyVariable)
	if storage.AccessKey == "" || storage.SecretKey == "" {
		return nil, fmt.Errorf("the new storage needs keys: set the environment variables %s and %s", accessKeyVariable, secretKeyVariable)
	}
	return storage, nil
}
