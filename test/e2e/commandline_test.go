package e2e_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestLarderDemoKeepsItsPromisesInHalfAMinuteOfTwoCores(t *testing.T) {
	larder := newLarder(t)
	larder.limit = 2 * time.Minute // others may use the cores, too

	began := time.Now()
	got := larder.try("", "demo")

	printed := got.stdout
	if got.code != 0 {
		t.Fatalf("exit status %d\n%s", got.code, got.both())
	}
	took := time.Since(began)
	if got.cpu > 2*30*time.Second || took > 30*time.Second && got.cpu < took/2 { // it waits for more than a core
		t.Errorf("it took %s, and used its cores for %s", took, got.cpu)
	}
	if kept := regexp.MustCompile(`(?m)^kept `).FindAllString(printed, -1); len(kept) != 3 {
		t.Errorf("%d promises were kept, want 3\n%s", len(kept), printed)
	}
	wants(t, printed, "Try it: larder demo --stay ")
	if strings.Contains(printed, "docker pull") {
		t.Errorf("it has a line to type at servers that are gone\n%s", printed)
	}
}

func TestAnAccessTokenOfLarderLoginIsGoodForDocker(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	larder := newLarder(t)
	wants(t, larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin"),
		"Logged in to http://"+s.main+" as admin until ")
	wants(t, larder.run("new-project", "demo"), `Now using project "demo" on server "http://`+s.main+`".`)
	if who := larder.run("whoami"); who != "admin\n" {
		t.Errorf("whoami printed %q", who)
	}
	token := strings.TrimSpace(larder.run("whoami", "-t"))

	docker := s.newDocker(t)
	docker.run("login", "-u", "unused", "-p", token, s.main)
	docker.run("pull", "nginx")
	docker.run("tag", "nginx", s.main+"/demo/nginx")
	docker.run("push", s.main+"/demo/nginx")
}
