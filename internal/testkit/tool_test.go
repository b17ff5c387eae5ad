package testkit_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/larder-registry/larder/internal/testkit"
)

func TestAProgramThatManyNeedIsBuiltOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var builds atomic.Int64
	build := func(_ context.Context, folder string) error {
		builds.Add(1)
		return os.WriteFile(filepath.Join(folder, "tool"), nil, 0o600)
	}
	var needing sync.WaitGroup
	for range 8 {
		needing.Go(func() {
			folder, err := testkit.Built("tool@v1", []string{"tool"}, build)
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(folder, "tool")); err != nil {
				t.Error(err)
			}
		})
	}
	needing.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("it was built %d times", n)
	}
}

func TestWhatABuildThatWasKilledHasLeftIsNotInTheWay(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	left := filepath.Join(cache, "larder-test-tools", "tool@v1.part", "some")
	if err := os.MkdirAll(left, 0o750); err != nil {
		t.Fatal(err)
	}
	folder, err := testkit.Built("tool@v1", []string{"tool"}, func(_ context.Context, folder string) error {
		return os.WriteFile(filepath.Join(folder, "tool"), nil, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(found) != 1 {
		t.Errorf("it holds %v, %v", found, err)
	}
}
