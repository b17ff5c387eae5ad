package kube_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
)

func TestACheckSaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		reason  metav1.StatusReason
		message string
		public  string
		log     []string
	}{
		{
			"the registry may not ask", http.StatusForbidden, metav1.StatusReasonForbidden,
			`User "system:serviceaccount:larder:larder" cannot create resource`,
			"the cluster does not let this registry ask it, and the registry's log says what to do",
			[]string{
				"creating tokenreviews", "creating subjectaccessreviews", `User "system:serviceaccount:larder:larder" cannot create resource`,
				"kubectl create clusterrolebinding larder-auth-delegator --clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME",
			},
		},
		{
			"the registry's credentials are refused", http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized",
			"the cluster does not accept this registry's own credentials", []string{"renew the credentials in the kubeconfig"},
		},
		{
			"the address is another server's", http.StatusNotFound, metav1.StatusReasonNotFound, "no such page",
			"what should be the cluster's API server is another", []string{"check the server's address in the kubeconfig"},
		},
		{
			"the API server fails", http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is away",
			"the cluster's API server did not answer", []string{"etcd is away"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			c.Refuse(tt.status, tt.reason, tt.message)

			err := c.client().Check(t.Context())

			unanswered, ok := errors.AsType[*kube.UnansweredError](err)
			if !ok || unanswered.Public != tt.public {
				t.Fatalf("everyone is told: %v", err)
			}
			for _, text := range tt.log {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error is\n%v\nand lacks %q", err, text)
				}
			}
			if strings.Contains(err.Error(), "larders-own") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestACheckIsContentWithAClusterThatAnswers(t *testing.T) {
	c := newCluster(t)
	if err := c.client().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnAPIServerThatHangsIsGivenUp(t *testing.T) {
	c := newCluster(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	c.Fail(func(http.ResponseWriter, *http.Request) { <-hang })

	_, err := c.clientWith(kube.Config{Timeout: 50 * time.Millisecond}).ReviewAccess(t.Context(), pull())

	if unanswered, ok := errors.AsType[*kube.UnansweredError](err); !ok || unanswered.Public != "the cluster's API server did not answer" {
		t.Errorf("the question gave %v", err)
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	c := newCluster(t)
	c.Fail(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		for range 100 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 64<<10))); err != nil {
				return
			}
		}
	})
	if _, err := c.client().ReviewAccess(t.Context(), pull()); err == nil {
		t.Error("six megabytes were taken for an answer")
	}
}

func TestAClientSaysWhyItCannotBeMade(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(broken, []byte("clusters: 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	tests := []struct{ name, kubeconfig, want string }{
		{"outside of a cluster", "", "set kubernetes.kubeconfig to a kubeconfig file"},
		{"no such file", filepath.Join(t.TempDir(), "missing"), "reading the kubeconfig"},
		{"no kubeconfig", broken, "reading the kubeconfig " + broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := kube.New(kube.Config{Kubeconfig: tt.kubeconfig})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, and lacks %q", err, tt.want)
			}
		})
	}
}
