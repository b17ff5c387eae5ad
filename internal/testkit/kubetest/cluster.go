// Package kubetest is a Kubernetes API server that knows reviews and nothing else, and
// answers them as a test wants it to.
package kubetest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownToken is what whoever asks has to show at first.
const ownToken = "larders-own"

// Cluster is the API server. Its methods are safe for concurrent use.
type Cluster struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	own      []string         // what whoever asks has shown; the last is good
	fails    http.HandlerFunc // answers in place of all else; nil: nothing fails
	owners   map[string]authentication.TokenReviewStatus
	may      func(authorization.SubjectAccessReviewSpec) bool
	tokens   []authentication.TokenReviewSpec
	accesses []authorization.SubjectAccessReviewSpec
}

// New starts a cluster that knows no token and allows nothing. It ends with the test.
func New(t *testing.T) *Cluster {
	c := &Cluster{
		t: t, own: []string{ownToken}, owners: map[string]authentication.TokenReviewStatus{},
		may: func(authorization.SubjectAccessReviewSpec) bool { return false },
	}
	c.server = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.server.Close)
	return c
}

// Close ends it before the test does: nobody listens any more.
func (c *Cluster) Close() { c.server.Close() }

func (c *Cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	fails, own := c.fails, c.own
	c.mu.Unlock()
	if fails != nil {
		fails(w, r)
		return
	}
	shown := r.Header.Get("Authorization")
	switch i := slices.Index(own, strings.TrimPrefix(shown, "Bearer ")); i {
	case len(own) - 1:
	case -1:
		c.t.Errorf("the cluster is asked by somebody who shows %q", shown)
	default: // it has been replaced
		refuse(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /apis/authentication.k8s.io/v1/tokenreviews":
		var review authentication.TokenReview
		c.read(r, &review)
		c.mu.Lock()
		c.tokens = append(c.tokens, review.Spec)
		review.Status = c.owners[review.Spec.Token]
		c.mu.Unlock()
		answer(w, http.StatusCreated, review)
	case "POST /apis/authorization.k8s.io/v1/subjectaccessreviews":
		var review authorization.SubjectAccessReview
		c.read(r, &review)
		c.mu.Lock()
		c.accesses = append(c.accesses, review.Spec)
		may := c.may
		c.mu.Unlock()
		review.Status.Allowed = may(review.Spec)
		answer(w, http.StatusCreated, review)
	case "GET /api/v1/pods": // nothing runs
		answer(w, http.StatusOK, core.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}})
	case "GET /api/v1/namespaces":
		answer(w, http.StatusOK, core.NamespaceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}})
	default:
		c.t.Errorf("the cluster is asked for %s %s", r.Method, r.URL)
	}
}

func (c *Cluster) read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		c.t.Errorf("reading a review: %v", err)
	}
}

func answer(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object) // a client that has gone is no fault
}

// Fail has all requests answered so from now on; nil ends it.
func (c *Cluster) Fail(how http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = how
}

// Refuse has all requests answered with an error of the API server's own.
func (c *Cluster) Refuse(status int, reason metav1.StatusReason, message string) {
	c.Fail(func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, reason, message) })
}

func refuse(w http.ResponseWriter, status int, reason metav1.StatusReason, message string) {
	answer(w, status, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: int32(status), Reason: reason, Message: message,
	})
}

// Knows has the cluster know a token.
func (c *Cluster) Knows(token string, status authentication.TokenReviewStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[token] = status
}

// Forgets has the cluster know a token no more.
func (c *Cluster) Forgets(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owners, token)
}

// Allow has the cluster decide so from now on.
func (c *Cluster) Allow(may func(authorization.SubjectAccessReviewSpec) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.may = may
}

// AllowAll has the cluster allow everything, or nothing.
func (c *Cluster) AllowAll(may bool) {
	c.Allow(func(authorization.SubjectAccessReviewSpec) bool { return may })
}

// Asked returns what was asked since the last call.
func (c *Cluster) Asked() (tokens []authentication.TokenReviewSpec, accesses []authorization.SubjectAccessReviewSpec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tokens, accesses = c.tokens, c.accesses
	c.tokens, c.accesses = nil, nil
	return tokens, accesses
}

// Kubeconfig writes a kubeconfig for the cluster and returns its path.
func (c *Cluster) Kubeconfig() string {
	c.t.Helper()
	folder := c.t.TempDir()
	authority := c.writeAuthority(folder)
	path := filepath.Join(folder, "kubeconfig")
	c.write(path, fmt.Sprintf(strings.TrimSpace(`
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: larder, user: {token: %q}}]
contexts: [{name: larder, context: {cluster: c, user: larder}}]
current-context: larder
`), c.server.URL, authority, ownToken))
	return path
}

func (c *Cluster) writeAuthority(folder string) (path string) {
	c.t.Helper()
	path = filepath.Join(folder, "ca.crt")
	c.write(path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})))
	return path
}

// Pod makes the test a pod of the cluster, and returns the folder of its service account.
func (c *Cluster) Pod() (folder string) {
	c.t.Helper()
	host, port, err := net.SplitHostPort(c.server.Listener.Addr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Setenv("KUBERNETES_SERVICE_HOST", host)
	c.t.Setenv("KUBERNETES_SERVICE_PORT", port)
	folder = c.t.TempDir()
	c.writeAuthority(folder)
	c.write(filepath.Join(folder, "token"), ownToken+"\n")
	return folder
}

// Renew has a pod's token replaced by another. The old one is refused from now on.
func (c *Cluster) Renew(folder, token string) {
	c.t.Helper()
	c.write(filepath.Join(folder, "token"), token+"\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = append(slices.Clone(c.own), token)
}

func (c *Cluster) write(path, text string) {
	c.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}
