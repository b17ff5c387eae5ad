package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

func TestANewProjectIsSelected(t *testing.T) {
	s, server, _ := newSession(t)
	s.fails(exitFailed, "project", "no project is selected", "larder project NAME")
	if got, want := s.ok("new-project demo"), fmt.Sprintf("Now using project \"demo\" on server %q.\n", server.URL); got != want {
		t.Errorf("new-project = %q, want %q", got, want)
	}
	if got, want := s.ok("project"), fmt.Sprintf("Using project \"demo\" on server %q.\n", server.URL); got != want {
		t.Errorf("project = %q, want %q", got, want)
	}
	s.fails(exitFailed, "new-project demo", "project demo was not made", "larder project demo")
	s.fails(exitFailed, "new-project Demo", "not valid")
}

func TestAProjectIsSelectedOnlyIfItIsThere(t *testing.T) {
	s, _, _ := newSession(t)
	s.ok("new-project one")
	s.ok("new-project two")
	s.ok("project one")
	if got := s.ok("project -q"); got != "one\n" {
		t.Errorf("project -q = %q", got)
	}
	s.fails(exitFailed, "project three", "does not exist", "larder get projects")
	s.fails(exitFailed, "project ../whoami", "does not exist")
	if got := s.ok("project -q"); got != "one\n" {
		t.Errorf("project -q = %q", got)
	}
	if got, want := s.ok("projects"), "  * one\n    two\n"; got != want {
		t.Errorf("projects = %q, want %q", got, want)
	}
	if got, want := s.ok("projects -q"), "one\ntwo\n"; got != want {
		t.Errorf("projects -q = %q, want %q", got, want)
	}
}

func TestALoginCanSelectAProject(t *testing.T) {
	s, server, _ := newSession(t)
	if r := s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin", "-n", "demo"); r.status != exitDone {
		t.Fatal(r.stderr)
	}
	if got := s.ok("project -q"); got != "demo\n" {
		t.Errorf("project -q = %q", got)
	}
}

func TestProjectsAreListedInEveryFormat(t *testing.T) {
	s, _, db := newSession(t)
	made := time.Now().Add(-25 * time.Hour)
	for _, p := range []metadata.Project{
		{Name: "demo", Kind: metadata.Hosted, Description: "for: trying \"things\" # here", Creator: "admin", CreatedAt: made},
		{Name: "docker-hub", Kind: metadata.Cache, CreatedAt: made},
	} {
		if err := db.Projects.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, line, want string }{
		{"a table", "get projects", "" +
			"NAME         KIND     VISIBILITY   AGE   DESCRIPTION\n" +
			"demo         hosted   private      25h   for: trying \"things\" # here\n" +
			"docker-hub   cache    public       25h   \n"},
		{"one of them", "get project docker-hub", "" +
			"NAME         KIND    VISIBILITY   AGE   DESCRIPTION\n" +
			"docker-hub   cache   public       25h   \n"},
		{"a wide table", "get ns demo -o wide", "" +
			"NAME   KIND     VISIBILITY   AGE   DESCRIPTION                   QUOTA   CREATOR\n" +
			"demo   hosted   private      25h   for: trying \"things\" # here   none    admin\n"},
		{"names", "get projects -o name", "project/demo\nproject/docker-hub\n"},
		{"the name of one", "get projects demo -o name", "project/demo\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, s.ok(tt.line)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
	var fromJSON, fromYAML struct {
		Items []map[string]any `json:"items" yaml:"items"`
	}
	if err := json.Unmarshal([]byte(s.ok("get projects -o json")), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(s.ok("get projects -o yaml")), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if len(fromJSON.Items) != 2 || fromJSON.Items[0]["createdAt"] != made.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) {
		t.Errorf("json = %v", fromJSON)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("yaml against json (-json +yaml):\n%s", diff)
	}
	s.fails(exitFailed, "get projects nowhere", "does not exist")
}

func TestADescriptionDoesNotSteerTheTerminal(t *testing.T) {
	s, _, db := newSession(t)
	p := metadata.Project{Name: "demo", Kind: metadata.Hosted, Description: "a\tb\x1b[31mc\nd"}
	if err := db.Projects.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := s.ok("get projects"); !strings.HasSuffix(got, "a b [31mc d\n") {
		t.Errorf("get projects = %q", got)
	}
}

func TestNoProjectsAreToldApartFromAnError(t *testing.T) {
	s, _, _ := newSession(t)
	if r := s.typeIn("", "get", "projects"); r != (result{exitDone, "", "No projects found.\n"}) {
		t.Errorf("get projects = %+v", r)
	}
	if got, want := s.ok("get projects -o json"), "{\n  \"items\": []\n}\n"; got != want {
		t.Errorf("json = %q", got)
	}
}

func TestMoreProjectsThanAPageHoldsAreListed(t *testing.T) {
	s, _, db := newSession(t)
	const many = 1001
	for i := range many {
		if err := db.Projects.Create(t.Context(), metadata.Project{Name: fmt.Sprintf("p%04d", i), Kind: metadata.Hosted}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(s.ok("get projects -o name"), "\n"); got != many {
		t.Errorf("%d projects are listed", got)
	}
}
