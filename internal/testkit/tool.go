package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// buildLimit bounds a build, with cold caches on a busy machine.
const buildLimit = 40 * time.Minute

// Tool is a program that tests need, built from its module.
type Tool struct {
	Name    string // of the program
	Source  string // package, such as github.com/versity/versitygw/cmd/versitygw
	Version string // of its module
}

// Program is the tool's path. It is built once for each version into the user's
// cache: that takes minutes.
func (t Tool) Program() (string, error) {
	folder, err := Built(t.Name+"@"+t.Version, []string{t.Name}, func(ctx context.Context, folder string) error {
		return Go(ctx, folder, []string{"GOBIN=" + folder}, "install", t.Source+"@"+t.Version)
	})
	return filepath.Join(folder, t.Name), err
}

// Built is a folder of the user's cache that holds programs. When it does not, build is to
// put them into the folder that it is given; the name says of which version they are.
func Built(name string, programs []string, build func(ctx context.Context, folder string) error) (folder string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	all := filepath.Join(cache, "larder-test-tools")
	folder = filepath.Join(all, name)
	if holds(folder, programs) {
		return folder, nil
	}
	if err := os.MkdirAll(all, 0o750); err != nil {
		return "", err
	}
	unlock, err := lock(folder + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if holds(folder, programs) { // other tests have built it meanwhile
		return folder, nil
	}
	// What was killed while it built has left some of it.
	aside := folder + ".part"
	if err := os.RemoveAll(aside); err != nil {
		return "", err
	}
	if err := os.Mkdir(aside, 0o750); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	if err := build(ctx, aside); err != nil {
		return "", errors.Join(err, os.RemoveAll(aside))
	}
	return folder, os.Rename(aside, folder)
}

// lock waits until no other process has locked the file, which is left behind.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func holds(folder string, programs []string) bool {
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(folder, program)); err != nil {
			return false
		}
	}
	return true
}

// Module is the folder of the module tools/NAME, which knows versions. It is asked for, since
// tests run in many folders.
func Module(name string) (folder string, err error) {
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/larder-registry/larder").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("looking for the folder of this module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "tools", name), nil
}

// ModuleProgram is the path of the program that the module tools/NAME is. The first time it is
// built, which takes minutes.
func ModuleProgram(name string) (path string, err error) {
	module, err := Module(name)
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range append([]string{filepath.Join(module, "go.mod")}, sources...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	version := name + "@" + hex.EncodeToString(sum.Sum(nil)[:6])
	folder, err := Built(version, []string{name}, func(ctx context.Context, folder string) error {
		return Go(ctx, module, []string{"CGO_ENABLED=0"}, "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(folder, name), ".")
	})
	return filepath.Join(folder, name), err
}

// Go runs the go command in a folder, behind what else the machine has to do.
func Go(ctx context.Context, folder string, environment []string, args ...string) error {
	command := append([]string{"go"}, args...)
	if nice, err := exec.LookPath("nice"); err == nil {
		command = append([]string{nice}, command...)
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), environment...)
	c.Dir = folder
	output, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", command, errors.Join(err, ctx.Err()), output)
	}
	return nil
}
