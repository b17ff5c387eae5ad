package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/mirror"
)

const podHost = "registry.example.com"

// newRewritingStack has the admission webhook on, which is ready.
func newRewritingStack(t *testing.T, options hubsim.Options) *stack {
	t.Helper()
	s := newStackWith(t, options, func(*hubsim.Hub) string {
		return "publicURL: https://" + podHost + "\nkubernetes: {listen: 127.0.0.1:0}\n"
	})
	s.ready = 30 * time.Second // pods keep their images while it is not
	s.restart()
	s.eventually("pods' images are rewritten", func() bool { return s.pod("demo", "", "nginx") != "nginx" })
	return s
}

// pod is the image that a pod of a namespace gets. The fields are JSON of its spec, with a
// comma behind.
func (s *stack) pod(namespace, fields, image string) string {
	s.t.Helper()
	return s.review(namespace, `{"metadata":{"annotations":{}},"spec":{`+fields+`"containers":[{"name":"c","image":"`+image+`"}]}}`, image)
}

func (s *stack) review(namespace, pod, image string) string {
	s.t.Helper()
	review := admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		UID: "1", Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(pod)},
	}}
	review.Request.Resource.Version, review.Request.Resource.Resource = "v1", "pods"
	body, err := json.Marshal(review)
	if err != nil {
		s.t.Fatal(err)
	}
	got := s.send(request{method: http.MethodPost, path: mirror.WebhookPath, body: string(body)})
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(got.body, &answer); err != nil || answer.Response == nil || !answer.Response.Allowed {
		s.t.Fatalf("the review was answered %d %s (%v)", got.status, got.body, err)
	}
	var patch []struct{ Value any }
	if len(answer.Response.Patch) == 0 {
		return image
	}
	if err := json.Unmarshal(answer.Response.Patch, &patch); err != nil {
		s.t.Fatal(err)
	}
	became, _ := patch[0].Value.(string)
	return became
}

// estahn/k8s-image-swapper, its imageSwapPolicy, #843 and #889: always fails while the copy
// is late, exists spends the first pull on the Hub's side, and latest is frozen for ever.
func TestRow20ThePodsImageIsPulledThroughWithTheFirstPodAndItsTagFollows(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	first := s.hub.AddImage("library/nginx", "latest", small(1))
	image := s.pod("demo", "", "nginx")
	repository, found := strings.CutPrefix(image, podHost+"/docker-hub/library/nginx:")
	if !found || repository != "latest" {
		t.Fatalf("the pod has the image %s", image)
	}
	s.pullAll(nginx, "latest", first)
	second := s.hub.AddImage("library/nginx", "latest", small(2))
	s.clock.Pass(2 * time.Minute)
	s.get(nginx+"manifests/latest").is(t, second.Digest)
}

// enix/kube-image-keeper#511, #529, #33 and #124: any trouble of the proxy stopped every
// pod.
func TestRow21PodsKeepTheirImagesWhileLarderCannotServeThem(t *testing.T) {
	t.Parallel()
	s := newRewritingStack(t, hubsim.Options{})
	s.becomesReady()
	probed := s.files("blobs")
	if err := flipFirstByte(probed[0]); err != nil {
		t.Fatal(err)
	}
	s.eventually("pods keep their images", func() bool { return s.pod("demo", "", "nginx") == "nginx" })
	if err := flipFirstByte(probed[0]); err != nil {
		t.Fatal(err)
	}
	s.eventually("pods' images are rewritten again", func() bool { return s.pod("demo", "", "nginx") != "nginx" })
}

// cloudnative-pg/cloudnative-pg#6344: operators that compare a pod's image with their own
// idea of it make the pod anew for ever. That templates and GitOps see nothing is shown
// with a real cluster, in test/e2e.
func TestRow22PodsOfControllersThatCompareImagesAreLeftAlone(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	pod := func(owner string) string {
		return s.review("demo", `{"metadata":{"ownerReferences":[`+owner+`]},"spec":{"containers":[{"name":"c","image":"postgres"}]}}`, "postgres")
	}
	if got := pod(`{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","name":"db"}`); got != "postgres" {
		t.Errorf("CloudNativePG's pod has the image %s", got)
	}
	if got := pod(`{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web"}`); got != podHost+"/docker-hub/library/postgres:latest" {
		t.Errorf("a ReplicaSet's pod has the image %s", got)
	}
}

// k3s-io/k3s#6815, kyverno/kyverno#16177 and harbor-automation-4k8s#14: webhooks that must
// answer keep a cluster, or their own pods, from starting.
func TestRow23AClusterStartsWithoutTheWebhook(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	for _, namespace := range []string{"kube-system", "larder"} {
		if got := s.pod(namespace, "", "nginx"); got != "nginx" {
			t.Errorf("a pod of %s has the image %s", namespace, got)
		}
	}
	static := `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"1"}},"spec":{"containers":[{"name":"c","image":"nginx"}]}}`
	if got := s.review("demo", static, "nginx"); got != "nginx" {
		t.Errorf("a static pod has the image %s", got)
	}
	manifest, err := mirror.Webhook(mirror.DockerHub(podHost), mirror.OptOut{Namespaces: []string{"kube-system", "larder"}}, mirror.Endpoint{URL: "https://x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"failurePolicy: Ignore", "timeoutSeconds: 2", "reinvocationPolicy: IfNeeded", "sideEffects: None", "values: [kube-system, larder]"} {
		if !strings.Contains(manifest, line) {
			t.Errorf("the webhook's configuration does not say %q:\n%s", line, manifest)
		}
	}
}

// moby/moby#30880, bottlerocket#4422 and k3s#8026: another host in the image's name loses
// the pull secret, or is sent the one that was meant for the original registry.
func TestRow24APodsSecretsAreLeftToTheRegistryThatTheyAreFor(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	const secrets = `"imagePullSecrets":[{"name":"hub"}],`
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	if got := s.pod("demo", secrets, "nginx"); got != "nginx" {
		t.Errorf("before anything is known of the image, the pod has %s", got)
	}
	s.pullAll(nginx, "latest", image) // by a stranger: so it is known to be public
	if got := s.pod("demo", secrets, "nginx"); got != podHost+"/docker-hub/library/nginx:latest" {
		t.Errorf("a public image became %s", got)
	}
	if got := s.pod("demo", secrets, "acme/private"); got != "acme/private" {
		t.Errorf("a private image became %s", got)
	}
}
