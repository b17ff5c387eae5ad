package server_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestAReloadThatMeetsTheEndIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, hubsim.Options{}, "")
	config := s.load()
	refused := make(chan error)
	go func() {
		for {
			if err := s.larder.Reload(config); err != nil {
				refused <- err
				return
			}
		}
	}()
	s.stop()
	if err := <-refused; !strings.Contains(err.Error(), "the server has ended") {
		t.Errorf("a reload met the end: %v", err)
	}
}
