package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/server"
)

// openFolder is a data folder as a server has it open. The user admin exists.
func openFolder(t *testing.T, folder string) (a *authn.Authenticator, closeAll func()) {
	t.Helper()
	data, err := server.OpenData(folder)
	if err != nil {
		t.Fatal(err)
	}
	db, err := metadata.Open(t.Context(), data.Path("metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	a, err = authn.New(authn.Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.EnsureAdmin(t.Context(), adminPassword); err != nil {
		t.Fatal(err)
	}
	return a, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestALostPasswordIsReset(t *testing.T) {
	tests := []struct {
		name, stdin string
		args        []string
		printed     string
	}{
		{"one is made and printed", "", nil, `^The new password of admin is ([a-z2-9]{24})\n$`},
		{"one is read", "brand new\n", []string{"--password-stdin"}, `^The password of admin was changed\.\n$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			_, closeAll := openFolder(t, folder)
			closeAll()
			r := newShell(t).typeIn(tt.stdin, append([]string{"admin", "reset-password", "--data", folder}, tt.args...)...)
			printed := regexp.MustCompile(tt.printed).FindStringSubmatch(r.stdout)
			if r.status != exitDone || printed == nil {
				t.Fatalf("reset-password = %+v", r)
			}
			password := "brand new"
			if len(printed) > 1 {
				password = printed[1]
			}
			a, closeAll := openFolder(t, folder)
			defer closeAll()
			if _, _, err := a.Basic(t.Context(), authn.UserAdmin, password, netip.Addr{}); err != nil {
				t.Errorf("the new password: %v", err)
			}
			if _, _, err := a.Basic(t.Context(), authn.UserAdmin, adminPassword, netip.Addr{}); err == nil {
				t.Error("the old password is still good")
			}
		})
	}
}

func TestAPasswordIsNotResetUnderARunningServer(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	a, closeAll := openFolder(t, folder)
	defer closeAll()
	newShell(t).fails(exitFailed, "admin reset-password --data "+folder, "in use by another larder", "stop that one first")
	if _, _, err := a.Basic(t.Context(), authn.UserAdmin, adminPassword, netip.Addr{}); err != nil {
		t.Errorf("the password: %v", err)
	}
}

func TestAFolderWithoutDataIsLeftAlone(t *testing.T) {
	s := newShell(t)
	empty := t.TempDir()
	missing := filepath.Join(empty, "missing")
	s.fails(exitFailed, "admin reset-password --data "+missing, "holds no Larder data", "--data DIR")
	t.Setenv("LARDER_DATA", empty)
	s.fails(exitFailed, "admin reset-password", empty+" holds no Larder data")
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
