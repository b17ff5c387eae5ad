package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/kube"
)

// podServer is an API server that knows pods, one on each page.
func podServer(t *testing.T, pods ...string) (*kube.Cluster, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.URL.Query().Get("fieldSelector")+" "+r.URL.Query().Get("continue"))
		page := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &page)
		next := ""
		if page+1 < len(pods) {
			next = fmt.Sprint(page + 1)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"kind": "PodList", "apiVersion": "v1", "metadata": map[string]string{"continue": next}, "items": []json.RawMessage{json.RawMessage(pods[page])},
		})
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u"}]}`, server.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Kubeconfig{File: file}.Open("larder/test")
	if err != nil {
		t.Fatal(err)
	}
	return cluster, &asked
}

func TestTheImagesOfAllContainersRun(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1f", 32)
	cluster, asked := podServer(t,
		`{"spec":{"containers":[{"name":"web","image":"nginx:1.27"},{"name":"side","image":"quay.io/acme/side"}],"initContainers":[{"name":"init","image":"busybox"}],
		"volumes":[{"name":"tmp","emptyDir":{}},{"name":"model","image":{"reference":"acme/model:1"}}]},
		"status":{"containerStatuses":[{"name":"web","imageID":"docker.io/library/nginx@`+digest+`"},{"name":"side","imageID":""}],
		"initContainerStatuses":[{"name":"init","imageID":"`+digest+`"}]}}`,
		`{"spec":{"containers":[{"name":"web","image":"nginx:1.27"}],"ephemeralContainers":[{"name":"debug","image":"busybox"}]},
		"status":{"containerStatuses":[{"name":"web","imageID":"docker-pullable://nginx@`+digest+`"}]}}`)
	got, err := cluster.RunningImages(context.Background(), 5)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, image := range got {
		names = append(names, strings.TrimSuffix(image.Name+"@"+image.Digest.String(), "@"))
	}
	if diff := cmp.Diff([]string{"acme/model:1", "busybox", "nginx:1.27@" + digest, "quay.io/acme/side"}, names); diff != "" {
		t.Errorf("running are (-want +got):\n%s", diff)
	}
	pods := "/api/v1/pods status.phase!=Succeeded,status.phase!=Failed "
	if diff := cmp.Diff([]string{pods, pods + "1"}, *asked); diff != "" {
		t.Errorf("asked was (-want +got):\n%s", diff)
	}
	if _, err := cluster.RunningImages(context.Background(), 3); err == nil || !strings.Contains(err.Error(), "have more than 3 images") {
		t.Errorf("of too many: %v", err)
	}
}
