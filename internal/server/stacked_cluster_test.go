package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit/kubetest"
)

// remembered is longer than what the cluster decided is remembered for while it answers.
const remembered = 4 * time.Second

// newClusterStack is a stack whose access is a cluster's, and the token of a service
// account there, system:serviceaccount:demo:ci.
func newClusterStack(t *testing.T) (s *stack, cluster *kubetest.Cluster, token string) {
	t.Helper()
	cluster = kubetest.New(t)
	token = serviceAccountToken(t)
	cluster.Knows(token, authentication.TokenReviewStatus{Authenticated: true, User: authentication.UserInfo{
		Username: "system:serviceaccount:demo:ci", Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}})
	s = newStack(t, hubsim.Options{}, "access: kubernetes\nkubernetes: {kubeconfig: "+cluster.Kubeconfig()+"}\n")
	return s, cluster, token
}

func serviceAccountToken(t *testing.T) string {
	t.Helper()
	return tokenOf(t, "")
}

// tokenOf is one that tells apart whose it is.
func tokenOf(t *testing.T, subject string) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Subject: subject, Issuer: "https://kubernetes.default.svc", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("the cluster's key"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// push begins one.
func push(repository, token string) request {
	return request{method: http.MethodPost, path: "/v2/" + repository + "/blobs/uploads/", header: bearer(token)}
}

// refusal is the text of an answer that is an error, after its status was compared.
func (a answer) refusal(t *testing.T, status int) string {
	t.Helper()
	var list struct{ Errors []struct{ Message string } }
	if a.status != status || json.Unmarshal(a.body, &list) != nil || len(list.Errors) != 1 {
		t.Fatalf("got %d, want %d\n%.300q", a.status, status, a.body)
	}
	return list.Errors[0].Message
}

func TestATokenOfTheClusterIsItsOwnRegistryToken(t *testing.T) {
	s, _, token := newClusterStack(t)
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("unused", token)

	got := s.send(request{path: "/token?scope=repository:demo/app:pull", header: map[string]string{"Authorization": r.Header.Get("Authorization")}})

	var issued struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if got.status != 200 || json.Unmarshal(got.body, &issued) != nil || issued.Token != token || issued.ExpiresIn < 60 {
		t.Errorf("the token service gave %d: %.300q", got.status, got.body)
	}
	if got := s.send(request{path: "/v2/", header: bearer(issued.Token)}); got.status != 200 {
		t.Errorf("the base gave %d", got.status)
	}
	who := s.send(request{path: "/api/v1/whoami", header: bearer(token)})
	if who.status != 200 || !strings.Contains(string(who.body), "system:serviceaccount:demo:ci") {
		t.Errorf("whoami gave %d: %.300q", who.status, who.body)
	}
	if got := s.send(request{path: "/v2/", header: bearer(serviceAccountToken(t) + "x")}); got.status != 401 {
		t.Errorf("a token that the cluster does not know gave %d", got.status)
	}
}

func TestAGrantOnTheClusterOpensAndItsRemovalClosesAgain(t *testing.T) {
	s, cluster, token := newClusterStack(t)
	if text := s.send(push("demo/app", token)).refusal(t, 403); !strings.HasPrefix(text, "project demo does not exist or you may not push to it") {
		t.Errorf("before the grant: %s", text)
	}

	cluster.Allow(func(spec authorization.SubjectAccessReviewSpec) bool {
		return spec.User == "system:serviceaccount:demo:ci" && spec.ResourceAttributes.Namespace == "demo"
	})
	s.clock.Pass(remembered)
	if got := s.send(push("demo/app", token)); got.status != 202 {
		t.Errorf("after the grant: %d\n%.300q", got.status, got.body)
	}
	s.send(push("other/app", token)).refusal(t, 403)

	cluster.AllowAll(false)
	s.clock.Pass(remembered)
	s.send(push("demo/app", token)).refusal(t, 403)
}

func TestAStrangerIsAskedAboutAsKubernetesNamesStrangers(t *testing.T) {
	s, cluster, _ := newClusterStack(t)
	s.send(request{method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/", admin: true})
	cluster.Asked()

	if got := s.get("/v2/demo/app/manifests/1"); got.status != 401 {
		t.Errorf("a stranger got %d", got.status)
	}

	_, asked := cluster.Asked()
	if len(asked) == 0 || asked[0].User != "system:anonymous" || !cmp.Equal(asked[0].Groups, []string{"system:unauthenticated"}) {
		t.Errorf("the cluster was asked %+v", asked)
	}
	cluster.Allow(func(spec authorization.SubjectAccessReviewSpec) bool {
		return spec.ResourceAttributes.Verb == "get" && spec.ResourceAttributes.Name == "app"
	})
	s.clock.Pass(remembered)
	if got := s.get("/v2/demo/app/manifests/1"); got.status != 404 {
		t.Errorf("after the grant a stranger got %d for a tag that does not exist", got.status)
	}
}

func TestWithoutTheClusterOnlyWhatItDecidedBeforeAndTheCachesAreOpen(t *testing.T) {
	s, cluster, token := newClusterStack(t)
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	cluster.Allow(func(spec authorization.SubjectAccessReviewSpec) bool {
		return spec.ResourceAttributes.Namespace == "demo"
	})
	for range 2 { // the first one makes the project, which takes another right
		if got := s.send(push("demo/app", token)); got.status != 202 {
			t.Fatalf("with the cluster: %d\n%.300q", got.status, got.body)
		}
	}

	cluster.Close()
	s.clock.Pass(5 * time.Minute)

	if got := s.send(push("demo/app", token)); got.status != 202 {
		t.Errorf("what was allowed before: %d\n%.300q", got.status, got.body)
	}
	const undecided = "whether you may do this cannot be decided now: the cluster's API server did not answer; try again"
	if text := s.send(push("other/app", token)).refusal(t, 503); text != undecided {
		t.Errorf("what was never asked: %s", text)
	}
	if text := s.get("/v2/other/app/manifests/1").refusal(t, 503); text != undecided {
		t.Errorf("a stranger: %s", text)
	}
	const unknown = "who you are cannot be found out now: the cluster's API server did not answer; try again"
	s.clock.Pass(6 * time.Minute)
	if text := s.send(push("demo/app", token)).refusal(t, 503); text != unknown {
		t.Errorf("ten minutes later: %s", text)
	}
	if got := s.send(request{path: "/api/v1/whoami", header: bearer(token)}); got.status != 503 || !strings.Contains(string(got.body), unknown) {
		t.Errorf("ten minutes later whoami gave %d: %.300q", got.status, got.body)
	}
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	if got := s.send(request{method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/", admin: true}); got.status != 202 {
		t.Errorf("the admin got %d", got.status)
	}
}

func TestARegistryStartsWithoutItsCluster(t *testing.T) {
	cluster := kubetest.New(t)
	kubeconfig := cluster.Kubeconfig()
	cluster.Close()

	s := newStack(t, hubsim.Options{}, "access: kubernetes\nkubernetes: {kubeconfig: "+kubeconfig+"}\n")

	s.becomesReady()
	s.stop() // which waits for the check
	if log := s.log.String(); !strings.Contains(log, "the cluster that is to decide who may do what does not") {
		t.Errorf("the log is\n%s", log)
	}
}
