package kubeserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

// `make tools` runs this test alone, so that building is not part of what is measured later.
func TestTheProgramsAreBuilt(t *testing.T) {
	if _, err := kubeserver.Programs(); err != nil {
		t.Fatal(err)
	}
}

func TestAServerIsARealOne(t *testing.T) {
	began := time.Now()
	s, err := kubeserver.Start(t.Context(), kubeserver.Options{Controllers: []string{"serviceaccount-controller"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	t.Logf("started within %s", time.Since(began))
	admin, dev := client{t, s, s.Admin}, client{t, s, s.User}

	if version := admin.run("version"); strings.Count(version, "v1.36.3") != 2 {
		t.Errorf("the versions are\n%s", version)
	}
	admin.run("create", "namespace", "demo")
	admin.run("wait", "--for=create", "serviceaccount/default", "--namespace=demo", "--timeout=60s")
	if out, err := dev.try("get", "namespaces"); err == nil || !strings.Contains(out, `User "dev" cannot list resource "namespaces"`) {
		t.Errorf("dev was answered %v\n%s", err, out)
	}

	question := filepath.Join(t.TempDir(), "question.json")
	text := `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"dev","resourceAttributes":{"verb":"get","resource":"pods"}}}`
	if err := os.WriteFile(question, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before := reviews(t, s)
	admin.run("create", "--raw=/apis/authorization.k8s.io/v1/subjectaccessreviews", "--filename", question)
	if made := reviews(t, s).Since(before); made != (kubeserver.Reviews{Accesses: 1}) {
		t.Errorf("one question was counted as %+v", made)
	}

	s.KillAPIServer()
	if out, err := admin.try("get", "namespaces"); err == nil {
		t.Errorf("after its end the API server says\n%s", out)
	}
	if err := s.StartAPIServer(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, s.Logs())
	}
	admin.run("get", "namespace", "demo")

	s.Stop()
	if _, err := os.Stat(s.Admin); !os.IsNotExist(err) {
		t.Errorf("what the server held is there after its end: %v", err)
	}
	if out, err := admin.try("get", "namespaces"); err == nil {
		t.Errorf("after its end the server says\n%s", out)
	}
}

func reviews(t *testing.T, s *kubeserver.Server) kubeserver.Reviews {
	t.Helper()
	n, err := s.Reviews(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	_, err := kubeserver.Start(t.Context(), kubeserver.Options{Flags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("starting gave %v", err)
	}
}

// client is kubectl as one user runs it. By itself it gives a busy machine half a minute to
// say which kinds of objects there are.
type client struct {
	t          *testing.T
	server     *kubeserver.Server
	kubeconfig string
}

func (c client) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), c.server.Kubectl, append([]string{"--kubeconfig=" + c.kubeconfig, "--request-timeout=5m"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+c.t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c client) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
