package kube_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/kube"
)

// kubeconfig writes a file with contexts of these names; the first is the current one.
func kubeconfig(t *testing.T, current string, contexts ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := &strings.Builder{}
	fmt.Fprintf(text, "apiVersion: v1\nkind: Config\ncurrent-context: %q\nusers: [{name: alice, user: {token: secret-token}}]\nclusters:\n", current)
	for _, name := range contexts {
		fmt.Fprintf(text, "- {name: %[1]s, cluster: {server: 'https://%[1]s.example.com'}}\n", name)
	}
	text.WriteString("contexts:\n")
	for _, name := range contexts {
		fmt.Fprintf(text, "- {name: %[1]s, context: {cluster: %[1]s, user: alice, namespace: of-%[1]s}}\n", name)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// home gives the test a home folder whose kubeconfig is a copy of file, if there is one.
func home(t *testing.T, file string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("HOME", folder)
	t.Setenv("KUBECONFIG", "")
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, ".kube", "config"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheClusterIsTheOneThatKubectlSpeaksTo(t *testing.T) {
	tests := []struct {
		name, home, variable string
		flags                kube.Kubeconfig
		want                 string // the context
	}{
		{name: "the current context of the home folder's file", home: kubeconfig(t, "a", "a", "b"), want: "a"},
		{name: "the context of a flag", home: kubeconfig(t, "a", "a", "b"), flags: kube.Kubeconfig{Context: "b"}, want: "b"},
		{name: "the variable's file goes before the home folder's", home: kubeconfig(t, "a", "a"), variable: kubeconfig(t, "b", "b"), want: "b"},
		{
			name: "the variable may name several, and some that are not there", want: "c",
			variable: strings.Join([]string{"/not/there", kubeconfig(t, "", "b"), kubeconfig(t, "c", "c")}, string(os.PathListSeparator)),
		},
		{name: "a flag's file goes before the variable's", variable: kubeconfig(t, "b", "b"), flags: kube.Kubeconfig{File: kubeconfig(t, "c", "c")}, want: "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home(t, tt.home)
			t.Setenv("KUBECONFIG", tt.variable)
			c, err := tt.flags.Open("larder/test")
			if err != nil {
				t.Fatal(err)
			}
			if c.Server != "https://"+tt.want+".example.com" || c.Namespace != "of-"+tt.want || !strings.HasPrefix(c.From, "context "+tt.want+" of /") {
				t.Errorf("it is %s, namespace %s, from %s", c.Server, c.Namespace, c.From)
			}
		})
	}
}

func TestInAPodTheClusterIsThePodsOwn(t *testing.T) {
	home(t, "")
	fake := newCluster(t)
	folder := fake.Pod()
	if err := os.WriteFile(filepath.Join(folder, "namespace"), []byte("demo"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.Kubeconfig{PodFolder: folder}.Open("larder/test")
	if err != nil {
		t.Fatal(err)
	}
	if c.Namespace != "demo" {
		t.Errorf("its namespace is %s", c.Namespace)
	}
	fake.Fail(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"token":"`+r.Header.Get("Authorization")+`"}`)
	})
	var seen struct{ Token string }
	if err := c.Get(t.Context(), "/version", &seen); err != nil || seen.Token != "Bearer larders-own" {
		t.Errorf("it is asked with %q: %v", seen.Token, err)
	}
	t.Setenv("HOME", "") // as many images have it
	if _, err := (kube.Kubeconfig{PodFolder: folder}).Open("larder/test"); err != nil {
		t.Errorf("without a home folder: %v", err)
	}
}

func TestAClusterThatIsNotFoundSaysWhatWasTried(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: [token: secret-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		variable string
		flags    kube.Kubeconfig
		want     []string
	}{
		{name: "no file", want: []string{"/.kube/config", "this is no pod", "--kubeconfig", "KUBECONFIG"}},
		{name: "a flag's file is not there", flags: kube.Kubeconfig{File: "/not/there"}, want: []string{"/not/there", "--kubeconfig"}},
		{name: "the variable's is not there", variable: "/not/there:/nor/there", want: []string{"/not/there, /nor/there", "--kubeconfig"}},
		{name: "no such context", variable: kubeconfig(t, "a", "a", "b"), flags: kube.Kubeconfig{Context: "prod"}, want: []string{"/config has no context prod", "a, b"}},
		{name: "no current context", variable: kubeconfig(t, "", "a", "b"), want: []string{"no current context", "a, b", "--context"}},
		{name: "no YAML", variable: broken, want: []string{broken, "--kubeconfig"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home(t, "")
			t.Setenv("KUBECONFIG", tt.variable)
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			_, err := tt.flags.Open("larder/test")
			if err == nil {
				t.Fatal("a cluster was found")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Errorf("%v\ntells a secret", err)
			}
		})
	}
}

// opened is the fake API server as commands speak to it, and answers as how says.
func opened(t *testing.T, how http.HandlerFunc) *kube.Cluster {
	t.Helper()
	fake := newCluster(t)
	fake.Fail(how)
	c, err := kube.Kubeconfig{File: fake.Kubeconfig()}.Open("larder/test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAListIsReadInPieces(t *testing.T) {
	var asked []string
	c := opened(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		next := map[string]string{"": "second", "second": "third"}[r.URL.Query().Get("continue")]
		_, _ = fmt.Fprintf(w, `{"metadata":{"continue":%q},"items":[%d]}`, next, len(asked))
	})
	var got []string
	err := c.List(t.Context(), "/api/v1/pods?fieldSelector=x", func(item json.RawMessage) error {
		got = append(got, string(item))
		return nil
	})
	if err != nil || strings.Join(got, " ") != "1 2 3" {
		t.Errorf("items %v, %v", got, err)
	}
	for _, query := range asked {
		if !strings.Contains(query, "limit=500") || !strings.Contains(query, "fieldSelector=x") {
			t.Errorf("asked with %s", query)
		}
	}
}

func TestWhatTheClusterRefusesSaysWhatToDo(t *testing.T) {
	tests := []struct {
		status int
		reason string
		is     error
		want   string
	}{
		{404, "NotFound", kube.ErrNoObject, "/api/v1/pods"},
		{409, "Conflict", kube.ErrChanged, "/api/v1/pods"},
		{409, "AlreadyExists", kube.ErrChanged, "/api/v1/pods"},
		{403, "Forbidden", nil, "ask for that right"},
		{401, "Unauthorized", nil, "log in to the cluster anew"},
	}
	for _, tt := range tests {
		c := opened(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"the reason"}`, tt.reason, tt.status)
		})
		err := c.Merge(t.Context(), "/api/v1/pods/x", map[string]string{"a": "b"}, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), c.Server+" (context larder of ") {
			t.Errorf("%s: %v", tt.reason, err)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s is not %v: %v", tt.reason, tt.is, err)
		}
	}
}

func TestAClusterThatIsGoneSaysHowToTry(t *testing.T) {
	fake := newCluster(t)
	c, err := kube.Kubeconfig{File: fake.Kubeconfig()}.Open("larder/test")
	if err != nil {
		t.Fatal(err)
	}
	fake.Close()
	if err := c.Get(t.Context(), "/version", nil); err == nil || !strings.Contains(err.Error(), "kubectl get --raw /readyz") || !strings.Contains(err.Error(), c.Server) {
		t.Error(err)
	}
}
