package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/testkit"
)

// watchedPair is a certificate for old.example whose files are looked at, and what is logged.
type watchedPair struct {
	*fileCertificates
	dir string
	log testkit.Buffer
}

// watchPair begins to watch what a folder holds, until the test's bubble ends.
func watchPair(t *testing.T, dir string) *watchedPair {
	t.Helper()
	w := &watchedPair{dir: dir}
	var err error
	w.fileCertificates, err = newFileCertificates(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), slog.New(slog.NewTextHandler(&w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	t.Cleanup(func() { cancel(); watching.Wait() })
	return w
}

// passed is what was logged while some looks at the files passed.
func (w *watchedPair) passed(looks int) string {
	was := w.log.String()
	time.Sleep(time.Duration(looks)*filePause + time.Second)
	synctest.Wait()
	return strings.TrimPrefix(w.log.String(), was)
}

func (w *watchedPair) shows(t *testing.T, name string) {
	t.Helper()
	if got := served(t, w.Certificates).DNSNames; !slices.Equal(got, []string{name}) {
		t.Errorf("the certificate is for %q, want %s", got, name)
	}
}

// mount puts a pair where a kubelet does with a Secret: in a folder of its own, to which the
// link ..data is exchanged.
func mount(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, ".."+name), 0o700); err != nil {
		t.Fatal(err)
	}
	pairOfFiles(t, filepath.Join(dir, ".."+name), name)
	if err := os.Symlink(".."+name, filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func TestARenewedSecretIsServedOnceTheKubeletHasExchangedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		mount(t, dir, "old.example")
		for _, file := range []string{"tls.crt", "tls.key"} {
			if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		w := watchPair(t, dir)
		if log := w.passed(3); log != "" {
			t.Errorf("nothing has changed, and the log says %s", log)
		}
		w.shows(t, "old.example")
		mount(t, dir, "new.example")
		if log := w.passed(3); strings.Count(log, "\n") != 1 || !strings.Contains(log, "a renewed certificate is served") || !strings.Contains(log, "ends=") {
			t.Errorf("the log says %s", log)
		}
		w.shows(t, "new.example")
	})
}

func TestACertificateAndAKeyThatDoNotFitLeaveTheOldOnesAndAreToldOfOnce(t *testing.T) {
	other := t.TempDir()
	pairOfFiles(t, other, "new.example")
	written := func(name string) string {
		text, err := os.ReadFile(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, tt := range map[string]struct {
		damage func(dir string) error
		says   string
	}{
		"the certificate of another key": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tls.crt"), []byte(written("tls.crt")), 0o600)
		}, "private key does not match public key"},
		"half of the certificate": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tls.crt"), []byte(written("tls.crt")[:100]), 0o600)
		}, "failed to find any PEM data"},
		"no key":  {func(dir string) error { return os.Remove(filepath.Join(dir, "tls.key")) }, "no such file"},
		"nothing": {func(dir string) error { return os.Truncate(filepath.Join(dir, "tls.crt"), 0) }, "failed to find any PEM data"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				pairOfFiles(t, dir, "old.example")
				w := watchPair(t, dir)
				if err := tt.damage(dir); err != nil {
					t.Fatal(err)
				}
				if log := w.passed(1); log != "" {
					t.Errorf("it may be half written, and the log says %s", log)
				}
				log := w.passed(20)
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.says) || !strings.Contains(log, filepath.Join(dir, "tls.")) || !strings.Contains(log, "write a certificate and the key") {
					t.Errorf("the log says %s", log)
				}
				w.shows(t, "old.example")
				plant(t, dir, map[string]string{"tls.crt": "neither this", "tls.key": "nor this"})
				if log := w.passed(20); strings.Count(log, "\n") != 1 {
					t.Errorf("of another fault the log says %s", log)
				}
				pairOfFiles(t, dir, "new.example")
				if log := w.passed(20); strings.Count(log, "\n") != 1 || !strings.Contains(log, "a renewed certificate is served") {
					t.Errorf("once it is mended the log says %s", log)
				}
				w.shows(t, "new.example")
			})
		})
	}
}

func TestAFaultThatIsUndoneIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		pairOfFiles(t, dir, "old.example")
		w := watchPair(t, dir)
		if err := os.Rename(filepath.Join(dir, "tls.key"), filepath.Join(dir, "aside")); err != nil {
			t.Fatal(err)
		}
		w.passed(2)
		if err := os.Rename(filepath.Join(dir, "aside"), filepath.Join(dir, "tls.key")); err != nil {
			t.Fatal(err)
		}
		if log := w.passed(20); strings.Count(log, "\n") != 1 || !strings.Contains(log, "in order again") {
			t.Errorf("the log says %s", log)
		}
	})
}

func TestAKeyAndACertificateMayBeReplacedOneAfterTheOther(t *testing.T) {
	for name, order := range map[string][]string{"the key first": {"tls.key", "tls.crt"}, "the certificate first": {"tls.crt", "tls.key"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, other := t.TempDir(), t.TempDir()
				pairOfFiles(t, dir, "old.example")
				pairOfFiles(t, other, "new.example")
				w := watchPair(t, dir)
				if err := os.Rename(filepath.Join(other, order[0]), filepath.Join(dir, order[0])); err != nil {
					t.Fatal(err)
				}
				if log := w.passed(1); log != "" {
					t.Errorf("between the two the log says %s", log)
				}
				w.shows(t, "old.example")
				if err := os.Rename(filepath.Join(other, order[1]), filepath.Join(dir, order[1])); err != nil {
					t.Fatal(err)
				}
				if log := w.passed(3); strings.Count(log, "\n") != 1 || !strings.Contains(log, "a renewed certificate is served") {
					t.Errorf("the log says %s", log)
				}
				w.shows(t, "new.example")
			})
		})
	}
}
