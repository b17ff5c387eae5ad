package mirror_test

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/mirror"
)

// shippedPods are those of the files that are shipped.
func shippedPods(url string) mirror.Pods {
	return mirror.Pods{Namespace: "larder", Image: "registry.example.com/larder/larder:latest", URL: url}
}

func TestTheWatcherThatIsShippedIsTheOneThatIsPrinted(t *testing.T) {
	want, err := mirror.Watcher(shippedPods("http://larder.larder.svc:5000"))
	if err != nil {
		t.Fatal(err)
	}
	shipped(t, "watcher.yaml", want)
}

func TestTheNodeMirrorsThatAreShippedAreThoseThatArePrinted(t *testing.T) {
	want, err := mirror.NodeMirrors(shippedPods("https://registry.example.com"), mirror.DockerHub("registry.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	shipped(t, "nodes.yaml", want)
}

// shipped compares a file for clusters with what is printed, below its first lines, which say
// what to change.
func shipped(t *testing.T, name, want string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "\n#\n")
	if got != want {
		t.Errorf("deploy/kubernetes/%s is\n%s\nbut this is printed:\n%s", name, got, want)
	}
}

func TestPodsTrustTheAuthorityThatTheyAreGiven(t *testing.T) {
	pods := shippedPods("https://registry.example.com")
	pods.CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
	text, err := mirror.Watcher(pods)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"    -----BEGIN CERTIFICATE-----\n    MIIB\n    -----END CERTIFICATE-----\n---\n", "--ca=/etc/larder/ca.crt", "configMap: {name: larder-watcher-ca}"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
}

func TestWhatIsInstalledSaysWhichRulesItFollows(t *testing.T) {
	policy, err := mirror.Policy(rules(), optOut(), "larder")
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := mirror.Webhook(rules(), optOut(), mirror.Endpoint{URL: "https://127.0.0.1:9443"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{policy, webhook} {
		gotRules, gotOptOut, err := mirror.ReadNote(noted(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rules(), gotRules) + cmp.Diff(optOut(), gotOptOut); diff != "" {
			t.Error(diff)
		}
	}
	for _, text := range []string{"", "{}", "[", `{"host":1}`} {
		if _, _, err := mirror.ReadNote(text); err == nil || !strings.Contains(err.Error(), mirror.NoteKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// noted is the annotation of the first object that has it.
func noted(t *testing.T, text string) string {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var object struct {
			Metadata struct{ Annotations map[string]string }
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if note := object.Metadata.Annotations[mirror.NoteKey]; note != "" {
			return note
		}
	}
	t.Fatal("nothing has the annotation")
	return ""
}
