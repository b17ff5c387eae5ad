// Package e2e_test tries the built program with the clients that people use: skopeo,
// podman, containerd, Docker's engine, kubectl, and the libraries behind crane and oras.
// Docker Hub is simulated, so that each test can tell what the Hub was asked for. The
// Kubernetes API server is a real one.
//
// LARDER_BIN names the program to try; without it, the tests build it as the Makefile
// does. A client that is missing fails its tests: `make deps` installs it. Tests with
// podman, containerd and dockerd need root. Nothing here talks to another machine.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryVariable names the program that is tried.
const binaryVariable = "LARDER_BIN"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(binaryVariable) == "" {
		folder, err := os.MkdirTemp("", "larder-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(folder) }()
		binary := filepath.Join(folder, "larder")
		if err := build(binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := os.Setenv(binaryVariable, binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build makes the program with the flags of `make build`.
func build(binary string) error {
	cmd := exec.Command("go", "build", "-trimpath",
		"-ldflags", "-s -w -X main.version=0.1.0-e2e -X main.commit=unknown", "-o", binary, "./cmd/larder")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building larder: %w\n%s", err, output)
	}
	return nil
}
