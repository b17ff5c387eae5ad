package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// toolBuildLimit bounds the build of one tool, with cold caches on a busy machine.
const toolBuildLimit = 20 * time.Minute

// Tool is a program that tests need, built from its module.
type Tool struct {
	Name    string // of the program
	Source  string // package, such as github.com/versity/versitygw/cmd/versitygw
	Version string // of its module
}

// Program is the tool's path. It is built once for each version into the user's
// cache: that takes minutes.
func (t Tool) Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	tools := filepath.Join(cache, "larder-test-tools")
	program := filepath.Join(tools, t.Name+"@"+t.Version, t.Name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o750); err != nil {
		return "", err
	}
	// Built aside and renamed, since other tests may do the same.
	aside, err := os.MkdirTemp(tools, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(aside) }()
	if err := t.build(aside); err != nil {
		return "", err
	}
	return program, os.Rename(filepath.Join(aside, t.Name), program)
}

func (t Tool) build(folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), toolBuildLimit)
	defer cancel()
	command := []string{"go", "install", t.Source + "@" + t.Version}
	if nice, err := exec.LookPath("nice"); err == nil {
		command = append([]string{nice}, command...)
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "GOWORK=off")
	c.Dir = folder
	output, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", command, errors.Join(err, ctx.Err()), output)
	}
	return nil
}
