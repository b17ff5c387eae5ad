package chaos_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// The configuration is a pipe, so that the test knows when the program reads it.
func TestAHangupDuringTheStartReadsTheConfigurationOnceMore(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "larder.yaml")
	if err := syscall.Mkfifo(config, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, t.TempDir(), newHub(t, hubsim.Options{}))
	s.args = append(s.args, "--config", config, "--log-level", "info")

	s.launch()
	first := s.reads(config)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil { // as an empty file
		t.Fatal(err)
	}
	s.awaitListening()
	if err := s.reads(config).Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the configuration is in force", func() bool { return strings.Contains(s.output.String(), "configuration reloaded") })
	s.stop()
}

// reads waits until the server reads a pipe, and returns the end that is written to.
func (s *server) reads(pipe string) (end *os.File) {
	s.t.Helper()
	within(s.t, startLimit, "larder reads its configuration", func() bool {
		var err error
		if end, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil && !errors.Is(err, syscall.ENXIO) {
			s.t.Fatal(err)
		}
		return err == nil
	})
	return end
}
