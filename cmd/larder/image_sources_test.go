package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/kube"
)

func TestTheImagesOfAClusterAreThoseOfItsPods(t *testing.T) {
	items := `{"spec":{"containers":[{"name":"a","image":"nginx:1.27"},{"name":"b","image":"registry.example/demo/web:1"}]}}, {"spec":{"containers":[{"name":"a","image":"nginx:1.27"},{"name":"c","image":"acme/app:1"}]}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[`+items+`]}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u"}]}`, server.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	from := imageSources{cluster: true, kubeconfig: kube.Kubeconfig{File: file}}
	got, err := from.running(context.Background())
	if err != nil || !slices.Equal(got, []string{"docker.io/acme/app:1", "nginx:1.27", "registry.example/demo/web:1"}) || !from.any() {
		t.Errorf("got %q, %v", got, err)
	}
	items = ""
	if _, err := from.running(context.Background()); err == nil || !strings.Contains(err.Error(), "no pod runs in "+server.URL+" (context c of "+file+")") {
		t.Errorf("without pods: %v", err)
	}
	from.kubeconfig.Context = "other"
	if _, err := from.running(context.Background()); err == nil || !strings.Contains(err.Error(), "has no context other") {
		t.Errorf("of another context: %v", err)
	}
}
