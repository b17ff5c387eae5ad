package kube_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/testkit"
)

// cluster is an API server that answers reviews as a test wants it to.
type cluster struct {
	t      *testing.T
	server *httptest.Server
	clock  *testkit.Clock
	log    *testkit.Buffer

	mu      sync.Mutex
	fails   http.HandlerFunc // answers in place of all else; nil: nothing fails
	owners  map[string]authentication.TokenReviewStatus
	may     func(authorization.SubjectAccessReviewSpec) bool
	tokens  []authentication.TokenReviewSpec
	reviews []authorization.SubjectAccessReviewSpec
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{
		t: t, clock: testkit.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)), log: new(testkit.Buffer),
		owners: map[string]authentication.TokenReviewStatus{},
		may:    func(authorization.SubjectAccessReviewSpec) bool { return false },
	}
	c.server = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.server.Close)
	return c
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != nil {
		c.mu.Unlock()
		defer c.mu.Lock()
		c.fails(w, r)
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer larders-own" {
		c.t.Errorf("the registry shows %q to the cluster", got)
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /apis/authentication.k8s.io/v1/tokenreviews":
		var review authentication.TokenReview
		c.read(r, &review)
		c.tokens = append(c.tokens, review.Spec)
		review.Status = c.owners[review.Spec.Token]
		answer(w, http.StatusCreated, review)
	case "POST /apis/authorization.k8s.io/v1/subjectaccessreviews":
		var review authorization.SubjectAccessReview
		c.read(r, &review)
		c.reviews = append(c.reviews, review.Spec)
		review.Status.Allowed = c.may(review.Spec)
		answer(w, http.StatusCreated, review)
	default:
		c.t.Errorf("the cluster was asked: %s %s", r.Method, r.URL)
	}
}

func (c *cluster) read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		c.t.Errorf("reading a review: %v", err)
	}
}

func answer(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object)
}

// change changes how the cluster answers from now on.
func (c *cluster) change(how func(*cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how(c)
}

// failing has the API server answer with an error of its own; 0 ends it.
func (c *cluster) failing(status int, reason metav1.StatusReason, message string) {
	c.change(func(c *cluster) {
		if c.fails = nil; status == 0 {
			return
		}
		c.fails = func(w http.ResponseWriter, _ *http.Request) {
			answer(w, status, metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
				Code: int32(status), Reason: reason, Message: message,
			})
		}
	})
}

// asked returns how many reviews of both kinds there were, and forgets them.
func (c *cluster) asked() (tokens, accesses int) {
	c.change(func(c *cluster) {
		tokens, accesses = len(c.tokens), len(c.reviews)
		c.tokens, c.reviews = nil, nil
	})
	return tokens, accesses
}

// client makes a client by a kubeconfig.
func (c *cluster) client(audiences ...string) *kube.Client {
	c.t.Helper()
	client, err := kube.New(kube.Config{
		Kubeconfig: c.kubeconfig(), Audiences: audiences, UserAgent: "larder/test", Timeout: 20 * time.Second,
		Now: c.clock.Now, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

func (c *cluster) kubeconfig() string {
	c.t.Helper()
	folder := c.t.TempDir()
	authority := filepath.Join(folder, "ca.crt")
	write(c.t, authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})))
	path := filepath.Join(folder, "kubeconfig")
	write(c.t, path, fmt.Sprintf(strings.TrimSpace(`
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: larder, user: {token: larders-own}}]
contexts: [{name: larder, context: {cluster: c, user: larder}}]
current-context: larder
`), c.server.URL, authority))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// knows has the cluster know a token.
func (c *cluster) knows(token string, user authentication.UserInfo, audiences ...string) {
	c.change(func(c *cluster) {
		c.owners[token] = authentication.TokenReviewStatus{Authenticated: true, User: user, Audiences: audiences}
	})
}
