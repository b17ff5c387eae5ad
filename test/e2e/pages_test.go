package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/larder-registry/larder/internal/hubsim"
)

// Each file of testdata/pages is a page that users of OpenShift's registry follow, with
// its lines typed at Larder as they stand there: `oc` is a link to larder, docker is the
// real one. $HOST stands for the registry's host. Who is at the keyboard is told by the
// home folder.
func TestThePagesThatUsersOfOpenShiftFollowAreTrueOfLarder(t *testing.T) {
	pages, err := filepath.Glob("testdata/pages/*.txtar")
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages: %v", err)
	}
	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".txtar"), func(t *testing.T) { followPage(t, page) })
	}
}

// followPage runs one page against a server and an engine of its own.
func followPage(t *testing.T, page string) {
	s := newStack(t, hubsim.Options{})
	s.hub.AddImage("library/centos", "7", hubImage(7))
	docker := s.newDocker(t)
	programs := t.TempDir()
	for _, name := range []string{"larder", "oc"} {
		if err := os.Symlink(s.larder.path, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Files:               []string{page},
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pulls":  pulls,
			"people": people,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", programs+":"+searchPath())
			env.Setenv("DOCKER_HOST", docker.args[1])
			env.Setenv("HOST", s.main)
			env.Setenv("SERVER", "http://"+s.main)
			env.Setenv("ADMIN_PASSWORD", adminPassword)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			return nil
		},
	})
}

// pulls pulls an image and forgets it again; with ! in front the pull has to fail:
//
//	pulls IMAGE
func pulls(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pulls IMAGE")
	}
	err := ts.Exec("docker", "pull", args[0])
	if failed := err != nil; failed != neg {
		ts.Fatalf("docker pull %s: %v", args[0], err)
	}
	if !neg {
		ts.Check(ts.Exec("docker", "image", "rm", args[0]))
	}
}

// people makes users, each with a home folder of the same name and logged in there with
// larder and with docker:
//
//	people NAME...
func people(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: people NAME...")
	}
	before := ts.Getenv("HOME")
	home := func(name string) {
		ts.Setenv("HOME", ts.MkAbs(name))
		ts.Check(os.MkdirAll(ts.MkAbs(name), 0o700))
	}
	home("admin")
	ts.Check(ts.Exec("larder", "login", ts.Getenv("SERVER"), "-u", "admin", "-p", ts.Getenv("ADMIN_PASSWORD")))
	for _, name := range args {
		secret := ts.MkAbs(name + ".password")
		ts.Check(os.WriteFile(secret, []byte("the-password-of-"+name), 0o600))
		home("admin")
		ts.Check(ts.Exec("sh", "-c", "larder create user "+name+" --password-stdin < "+secret))
		home(name)
		ts.Check(ts.Exec("sh", "-c", "larder login "+ts.Getenv("SERVER")+" -u "+name+" --password-stdin < "+secret))
		ts.Check(ts.Exec("sh", "-c", "docker login -u "+name+" --password-stdin "+ts.Getenv("HOST")+" < "+secret))
	}
	ts.Setenv("HOME", before)
}
