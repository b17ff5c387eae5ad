// Package chaos_test does to the built program what the world does to a registry: it
// is killed in the middle of everything, the power fails, it is met by clients that mean
// it no good, and its storage fills up, turns read-only, or is locked by somebody else.
//
// What is done, and with which bytes, follows from a seed that is printed; when things
// happen does not, so a seed repeats a run closely and not exactly. Environment:
//
//	LARDER_CHAOS_SEED    the seed; without it, one is drawn
//	LARDER_CHAOS_ROUNDS  how often the program is killed; without it 50 times, or as
//	                     often as fits into four minutes. And how often one of two
//	                     replicas goes that empty their bucket; without it 4 times
//	LARDER_CHAOS_LOSSES  after how many steps of a recorded run the power is lost, or
//	                     "all"; without it 60, or as many as fit into two minutes. And
//	                     after how many steps a first process is killed; without it 60,
//	                     or as many as fit into 20 seconds
//	LARDER_CHAOS_OLDER   the program that replicas run before they are replaced by the one
//	                     to try; without it, the same
//	LARDER_BIN           the program to try; without it, one is built
//
// The tests of storage mount file systems, so they need root, Linux and /dev/fuse.
package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	binaryVariable = "LARDER_BIN"
	seedVariable   = "LARDER_CHAOS_SEED"
	roundsVariable = "LARDER_CHAOS_ROUNDS"
	lossesVariable = "LARDER_CHAOS_LOSSES"
	olderVariable  = "LARDER_CHAOS_OLDER"

	shortRounds = 50
	shortTime   = 4 * time.Minute
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(seedVariable) == "" {
		if err := os.Setenv(seedVariable, strconv.FormatUint(uint64(rand.Uint32()), 10)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Printf("chaos: %s=%s\n", seedVariable, os.Getenv(seedVariable))
	if err := unmountLeftovers(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos: unmounting what a killed run has left:", err)
	}
	if os.Getenv(binaryVariable) == "" {
		folder, err := os.MkdirTemp("", "larder-chaos-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(folder) }()
		if err := build(filepath.Join(folder, "larder")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build makes the program as a release does.
func build(binary string) error {
	cmd := exec.Command("go", "build", "-race=false", "-trimpath", "-o", binary, "./cmd/larder")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building larder: %w\n%s", err, output)
	}
	return os.Setenv(binaryVariable, binary)
}

// seed is where every choice of a test begins.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return n
}

// rounds is how often to kill the program, and how long that may take in all; 0 means
// as long as it takes.
func rounds(t *testing.T) (count int, limit time.Duration) {
	t.Helper()
	text := os.Getenv(roundsVariable)
	if text == "" {
		return shortRounds, shortTime
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number of rounds", roundsVariable, text)
	}
	return n, 0
}

// instants is after how many steps to lose the power, 0 for each, and how long that may
// take in all; 0 means as long as it takes.
func instants(t *testing.T) (count int, limit time.Duration) {
	t.Helper()
	switch text := os.Getenv(lossesVariable); text {
	case "":
		return shortInstants, shortLosses
	case "all":
		return 0, 0
	default:
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%s is no number of power losses", lossesVariable, text)
		}
		return n, 0
	}
}

// choices are the choices of one of the test's actors.
func choices(t *testing.T, actor uint64) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(seed(t), actor))
}
