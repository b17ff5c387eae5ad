package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// contexts are the logins that a user keeps, like a small kubeconfig.
type contexts struct {
	Current  string                  `yaml:"current-context"`
	Contexts map[string]loginContext `yaml:"contexts"`
}

// loginContext is one login: a server, a user, and the selected project.
type loginContext struct {
	Server    string `yaml:"server"`
	User      string `yaml:"user"`
	Token     string `yaml:"token,omitempty"`
	Namespace string `yaml:"namespace,omitempty"`
	CA        string `yaml:"ca,omitempty"`
	Insecure  bool   `yaml:"insecure-skip-tls-verify,omitempty"`
}

// name is how the context is called in the file, as in registry.example.com/alice.
func (c loginContext) name() string {
	_, host, _ := strings.Cut(c.Server, "://")
	return host + "/" + c.User
}

// contextsPath follows the XDG Base Directory Specification.
func contextsPath() (string, error) {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("looking for the folder where logins are kept: %w; set HOME or XDG_CONFIG_HOME", err)
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "larder", "config"), nil
}

// readContexts returns no contexts when none were ever kept.
func readContexts() (contexts, error) {
	none := contexts{Contexts: map[string]loginContext{}}
	path, err := contextsPath()
	if err != nil {
		return none, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("reading the kept logins: %w", err)
	}
	all := contexts{}
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
		// Without the source: its lines hold tokens.
		return none, fmt.Errorf("reading the kept logins in %s: %s; repair the file, or remove it and log in again", path, yaml.FormatError(err, false, false))
	}
	if all.Contexts == nil {
		all.Contexts = none.Contexts
	}
	return all, nil
}

// write replaces the file as a whole; nobody but its owner can read it.
func (c contexts) write() error {
	path, err := contextsPath()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	if err := writePrivately(path, text); err != nil {
		return fmt.Errorf("keeping the login: %w", err)
	}
	return nil
}

// current is the login in use.
func (c contexts) current() (loginContext, error) {
	login, ok := c.Contexts[c.Current]
	if !ok {
		return loginContext{}, errors.New("no server is selected: log in first, with larder login URL -u NAME")
	}
	return login, nil
}

// keep adds or replaces a login and makes it the current one.
func (c *contexts) keep(login loginContext) {
	c.Current = login.name()
	c.Contexts[c.Current] = login
}
