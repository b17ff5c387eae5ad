package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/api"
)

func TestImportsAreDescribedWithWhatTheirConditionsSay(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	at := now.Add(-5 * time.Minute)
	imports := func(tag string, c ...api.ImportCondition) api.Import {
		return api.Import{Tag: tag, From: "docker.io/acme/app:" + tag, Scheduled: true, CheckedAt: &at, Conditions: c}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(api.ImportList{Items: []api.Import{
			imports("1", api.ImportCondition{Type: "ImportSuccess", Status: "True"}),
			imports("2", api.ImportCondition{Type: "ImportSuccess", Status: "True", Message: "the credentials of project demo itself are not used"}),
			imports("3", api.ImportCondition{Type: "ImportSuccess", Status: "False", Reason: "Unauthorized", Message: "it is private"}),
			imports("4"),
		}})
	}))
	defer server.Close()
	c, err := newClient(loginContext{Server: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := describeImports(t.Context(), c, imageName{project: "demo", repository: "app"}, &out, now); err != nil {
		t.Fatal(err)
	}
	const line = ", followed; asked 5m ago, set never\n"
	want := "\nImports:\n" +
		"  1 from docker.io/acme/app:1" + line +
		"  2 from docker.io/acme/app:2" + line +
		"    the credentials of project demo itself are not used\n" +
		"  3 from docker.io/acme/app:3" + line +
		"    Unauthorized: it is private\n" +
		"  4 from docker.io/acme/app:4" + line
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
