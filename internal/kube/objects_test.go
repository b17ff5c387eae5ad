package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/kube"
)

func TestWhatTheClusterSaysOfItsSecretsIsPassedOn(t *testing.T) {
	const forbidden = `secrets "larder-webhook" is forbidden: User "system:serviceaccount:larder:larder" cannot get resource "secrets"`
	for reason, tt := range map[string]struct {
		status  int
		message string
		is      error
	}{
		"Forbidden": {http.StatusForbidden, forbidden, nil},
		"NotFound":  {http.StatusNotFound, `secrets "larder-webhook" not found`, kube.ErrNoObject},
	} {
		fake := newCluster(t)
		fake.Fail(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":%q}`, reason, tt.status, tt.message)
		})
		objects, err := kube.OpenObjects(kube.Config{Kubeconfig: fake.Kubeconfig()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objects.Secret(t.Context(), "larder", "larder-webhook"); err == nil || !strings.Contains(err.Error(), tt.message) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
