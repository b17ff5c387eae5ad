package chaos_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// mountPrefix begins the names of the folders where something is mounted; the id of the
// process that mounts it follows.
const mountPrefix = "larder-chaos-mount-"

// mountFolder makes a folder to mount something at.
func mountFolder(process int) (string, error) {
	return os.MkdirTemp("", fmt.Sprintf("%s%d-", mountPrefix, process))
}

// unmountLeftovers unmounts what runs of these tests have left that were killed.
func unmountLeftovers() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var all error
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !abandoned(fields[1]) {
			continue
		}
		err := syscall.Unmount(fields[1], syscall.MNT_DETACH)
		if err == nil {
			err = os.Remove(fields[1])
		}
		all = errors.Join(all, err)
	}
	return all
}

// abandoned tells whether a folder was one of a process's that is no more.
func abandoned(folder string) bool {
	rest, ours := strings.CutPrefix(filepath.Base(folder), mountPrefix)
	number, _, _ := strings.Cut(rest, "-")
	process, err := strconv.Atoi(number)
	return ours && err == nil && errors.Is(syscall.Kill(process, 0), syscall.ESRCH)
}

func TestWhatAKilledRunHasMountedIsUnmounted(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left, err := mountFolder(gone.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	system(t, "mount", "-t", "tmpfs", "tmpfs", left)
	inUse := mountedMemory(t, "1m")
	if err := unmountLeftovers(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
	system(t, "mountpoint", "-q", inUse)
}

// mounted mounts a file system at a new folder, until the test ends.
func mounted(t *testing.T, args ...string) (folder string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root")
	}
	folder, err := mountFolder(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	system(t, "mount", append(args, folder)...)
	t.Cleanup(func() {
		system(t, "umount", folder)
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// mountedMemory is a file system of so many bytes.
func mountedMemory(t *testing.T, size string) (folder string) {
	t.Helper()
	return mounted(t, "-t", "tmpfs", "-o", "size="+size, "tmpfs")
}

// mountedDisk is a disk of its own, 64 MiB in a file, that the kernel can give up on as
// it does when a real one fails.
func mountedDisk(t *testing.T) (folder string) {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 64<<20); err != nil {
		t.Fatal(err)
	}
	system(t, "mkfs.ext4", "-q", disk)
	return mounted(t, "-o", "loop", disk)
}

// system runs a program of the operating system.
func system(t *testing.T, name string, args ...string) {
	t.Helper()
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, output)
	}
}
