package chaos_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// mounted mounts a file system at a new folder, until the test ends.
func mounted(t *testing.T, args ...string) (folder string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root")
	}
	folder, err := os.MkdirTemp("", "larder-chaos-mount-")
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
