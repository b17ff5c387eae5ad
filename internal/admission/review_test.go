package admission_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/mirror"
)

func config() admission.Config {
	return admission.Config{
		Rules: mirror.DockerHub("registry.example"),
		OptOut: mirror.OptOut{
			Annotations: []string{"idp.jppol.dk/ecr-pull-through-cache"},
			Namespaces:  []string{"kube-system", "larder"},
			Owners:      mirror.DefaultOwners(),
		},
		Ready:   func() error { return nil },
		Metrics: admission.NewMetrics(prometheus.NewRegistry(), nil),
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// request is a review as an API server sends it.
type request struct {
	namespace, subresource string
	pod, before            string // JSON
}

func (r request) review() admissionv1.AdmissionReview {
	review := admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		UID: "7", Namespace: r.namespace, SubResource: r.subresource, Operation: admissionv1.Create,
	}}
	review.APIVersion, review.Kind = "admission.k8s.io/v1", "AdmissionReview"
	review.Request.Resource.Version, review.Request.Resource.Resource = "v1", "pods"
	review.Request.Object = runtime.RawExtension{Raw: []byte(r.pod)}
	if r.before != "" {
		review.Request.Operation, review.Request.OldObject = admissionv1.Update, runtime.RawExtension{Raw: []byte(r.before)}
	}
	return review
}

// answer posts a review.
func answer(t *testing.T, c admission.Config, review any) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	admission.New(c).ServeHTTP(w, httptest.NewRequest(http.MethodPost, admission.Path, bytes.NewReader(body)))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || got.Response == nil {
		t.Fatalf("answered %d: %s (%v)", w.Code, w.Body, err)
	}
	if got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" || got.Response.UID != "7" || !got.Response.Allowed {
		t.Errorf("answered %s", w.Body)
	}
	return got.Response
}

// operation is one of the patches that tests expect.
type operation struct {
	Op, Path string
	Value    any
}

func wantPatch(t *testing.T, got *admissionv1.AdmissionResponse, want ...operation) {
	t.Helper()
	var patch []operation
	if len(got.Patch) > 0 {
		if got.PatchType == nil || *got.PatchType != admissionv1.PatchTypeJSONPatch {
			t.Errorf("the patch has the type %v", got.PatchType)
		}
		if err := json.Unmarshal(got.Patch, &patch); err != nil {
			t.Fatalf("%s: %v", got.Patch, err)
		}
	}
	if diff := cmp.Diff(want, patch); diff != "" {
		t.Errorf("the patch is not as wanted (-want +got):\n%s", diff)
	}
}

func replaced(path, image string) operation {
	return operation{"replace", path, "registry.example/docker-hub/" + image}
}

func noted(originals string) operation {
	return operation{"add", "/metadata/annotations/larder.dev~1original-images", originals}
}

func TestEachImageOfAPodIsRewritten(t *testing.T) {
	got := answer(t, config(), request{namespace: "demo", pod: `{"metadata":{"annotations":{"a":"b"}},"spec":{
		"initContainers":[{"name":"init","image":"busybox"},{"name":"theirs","image":"quay.io/x/y:1"}],
		"containers":[{"name":"web","image":"nginx:1.27"},{"name":"side","image":"docker.io/grafana/agent@sha256:` + strings.Repeat("0", 64) + `"}],
		"volumes":[{"name":"none","emptyDir":{}},{"name":"data","image":{"reference":"acme/data:1"}}]}}`}.review())
	wantPatch(t, got,
		replaced("/spec/initContainers/0/image", "library/busybox:latest"),
		replaced("/spec/containers/0/image", "library/nginx:1.27"),
		replaced("/spec/containers/1/image", "grafana/agent@sha256:"+strings.Repeat("0", 64)),
		replaced("/spec/volumes/1/image/reference", "acme/data:1"),
		noted(`{"data":"acme/data:1","init":"busybox","side":"docker.io/grafana/agent@sha256:`+strings.Repeat("0", 64)+`","web":"nginx:1.27"}`),
	)
	if got.AuditAnnotations["rewritten"] != "4" || len(got.Warnings) > 0 {
		t.Errorf("the audit log hears %v, and the user %q", got.AuditAnnotations, got.Warnings)
	}
}

func TestAPodWithoutAnnotationsGetsThem(t *testing.T) {
	got := answer(t, config(), request{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/0/image", "library/nginx:latest"),
		operation{"add", "/metadata/annotations", map[string]any{"larder.dev/original-images": `{"web":"nginx"}`}})
}

func TestWhoAsksForItIsToldWhatWasRewritten(t *testing.T) {
	c := config()
	c.Warn = true
	got := answer(t, c, request{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	want := []string{"image nginx is pulled as registry.example/docker-hub/library/nginx:latest; the annotation larder.dev/pull-through-cache: disabled leaves it as it is"}
	if diff := cmp.Diff(want, got.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestASecondReviewOfAPodAddsWhatOthersHaveAdded(t *testing.T) {
	got := answer(t, config(), request{namespace: "demo", pod: `{"metadata":{"annotations":{"larder.dev/original-images":"{\"web\":\"nginx\"}"}},"spec":{"containers":[
		{"name":"web","image":"registry.example/docker-hub/library/nginx:latest"},{"name":"proxy","image":"envoyproxy/envoy:v1"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/1/image", "envoyproxy/envoy:v1"), noted(`{"proxy":"envoyproxy/envoy:v1","web":"nginx"}`))
}

func TestAnAnnotationThatIsNotOursIsReplaced(t *testing.T) {
	got := answer(t, config(), request{namespace: "demo", pod: `{"metadata":{"annotations":{"larder.dev/original-images":"[1"}},"spec":{"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/0/image", "library/nginx:latest"), noted(`{"web":"nginx"}`))
}

func TestAnUpdateRewritesOnlyWhatItChanges(t *testing.T) {
	const before = `{"metadata":{"annotations":{}},"spec":{"containers":[{"name":"old","image":"nginx:1"},{"name":"web","image":"registry.example/docker-hub/library/nginx:1"}],
		"volumes":[{"name":"data","image":{"reference":"registry.example/docker-hub/acme/data:1"}}]}}`
	tests := map[string]struct {
		pod  string
		want []operation
	}{
		"a pod from before the webhook gets a label": {`{"metadata":{"labels":{"a":"b"}},` + before[len(`{"metadata":{"annotations":{}},`):], nil},
		"a new image": {
			`{"metadata":{"annotations":{}},"spec":{"containers":[{"name":"old","image":"nginx:1"},{"name":"web","image":"nginx:2"}]}}`,
			[]operation{replaced("/spec/containers/1/image", "library/nginx:2"), noted(`{"web":"nginx:2"}`)},
		},
		"the manifest applied again": {
			`{"metadata":{"annotations":{}},"spec":{"containers":[{"name":"old","image":"nginx:1"},{"name":"web","image":"nginx:1"}],"volumes":[{"name":"data","image":{"reference":"acme/data:1"}}]}}`,
			[]operation{
				replaced("/spec/containers/1/image", "library/nginx:1"), replaced("/spec/volumes/0/image/reference", "acme/data:1"),
				noted(`{"data":"acme/data:1","web":"nginx:1"}`),
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantPatch(t, answer(t, config(), request{namespace: "demo", pod: tt.pod, before: before}.review()), tt.want...)
		})
	}
}

func TestOnlyANewEphemeralContainerIsRewritten(t *testing.T) {
	got := answer(t, config(), request{
		namespace: "demo", subresource: "ephemeralcontainers",
		before: `{"spec":{"containers":[{"name":"web","image":"nginx"}],"ephemeralContainers":[{"name":"d1","image":"busybox"}]}}`,
		pod:    `{"spec":{"containers":[{"name":"web","image":"nginx"}],"ephemeralContainers":[{"name":"d1","image":"busybox"},{"name":"d2","image":"busybox"}]}}`,
	}.review())
	wantPatch(t, got, replaced("/spec/ephemeralContainers/1/image", "library/busybox:latest"))
}

func TestAPodIsLeftAsItIs(t *testing.T) {
	const spec = `"spec":{"containers":[{"name":"web","image":"nginx"}]}}`
	tests := map[string]struct {
		request
		why string
	}{
		"with the annotation":      {request{namespace: "demo", pod: `{"metadata":{"annotations":{"larder.dev/pull-through-cache":"disabled"}},` + spec}, "the pod's annotation opts out"},
		"with another's":           {request{namespace: "demo", pod: `{"metadata":{"annotations":{"idp.jppol.dk/ecr-pull-through-cache":"disabled"}},` + spec}, "the pod's annotation opts out"},
		"in the cluster's own":     {request{namespace: "kube-system", pod: `{` + spec}, "the namespace is left alone"},
		"in Larder's own":          {request{namespace: "larder", pod: `{` + spec}, "the namespace is left alone"},
		"static":                   {request{namespace: "demo", pod: `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},` + spec}, "it is a static pod of a node"},
		"of CloudNativePG":         {request{namespace: "demo", pod: `{"metadata":{"ownerReferences":[{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","name":"db"}]},` + spec}, "its controller compares the images of its pods"},
		"with pull secrets":        {request{namespace: "demo", pod: `{"spec":{"imagePullSecrets":[{"name":"hub"}],"containers":[{"name":"web","image":"acme/private"}]}}`}, "it has pull secrets of its own, for images that are not known to be public"},
		"of other registries":      {request{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"quay.io/a/b"}]}}`}, "no image is one that is cached or looked up"},
		"that was rewritten":       {request{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"registry.example/docker-hub/library/nginx:latest"}]}}`}, "no image is one that is cached or looked up"},
		"that cannot be read":      {request{namespace: "demo", pod: `{"spec":7}`}, "the review could not be read as one of a pod"},
		"whose past is unreadable": {request{namespace: "demo", pod: `{` + spec, before: `7`}, "the review could not be read as one of a pod"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := answer(t, config(), tt.review())
			wantPatch(t, got)
			if got.AuditAnnotations["left"] != tt.why {
				t.Errorf("the audit log hears %v", got.AuditAnnotations)
			}
		})
	}
}

func TestPullSecretsForThisRegistryAreNoReasonToLeaveAPod(t *testing.T) {
	got := answer(t, config(), request{namespace: "demo", pod: `{"metadata":{"annotations":{}},"spec":{"imagePullSecrets":[{"name":"larder-pull-default"}],"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/0/image", "library/nginx:latest"), noted(`{"web":"nginx"}`))
	got = answer(t, config(), request{namespace: "demo", pod: `{"spec":{"imagePullSecrets":[{"name":"larder-pull-default"},{"name":"hub"}],"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	wantPatch(t, got)
}

func TestAPublicImageIsRewrittenForAPodWithPullSecrets(t *testing.T) {
	c := config()
	c.Public = func(image string) bool { return image == "nginx" }
	got := answer(t, c, request{namespace: "demo", pod: `{"metadata":{"annotations":{}},"spec":{"imagePullSecrets":[{"name":"hub"}],"containers":[
		{"name":"web","image":"nginx"},{"name":"app","image":"acme/private"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/0/image", "library/nginx:latest"), noted(`{"web":"nginx"}`))
}

func TestPodsKeepTheirImagesWhileNothingCanBeServed(t *testing.T) {
	c := config()
	c.Ready = func() error { return errors.New("the storage of blobs cannot be read") }
	got := answer(t, c, request{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"nginx"}]}}`}.review())
	wantPatch(t, got)
	if got.AuditAnnotations["left"] != "larder is not ready to serve images" {
		t.Errorf("the audit log hears %v", got.AuditAnnotations)
	}
}

func TestOnlyPodsAreChanged(t *testing.T) {
	review := request{namespace: "demo", pod: `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx"}]}},"containers":[{"name":"web","image":"nginx"}]}}`}.review()
	review.Request.Resource.Group, review.Request.Resource.Resource = "apps", "deployments"
	wantPatch(t, answer(t, config(), review))
}

func TestWhatIsNoReviewIsRefused(t *testing.T) {
	tests := map[string]struct {
		method, body string
		want         int
	}{
		"a browser":        {http.MethodGet, "", http.StatusMethodNotAllowed},
		"no JSON":          {http.MethodPost, "x", http.StatusBadRequest},
		"no request":       {http.MethodPost, `{"kind":"AdmissionReview"}`, http.StatusBadRequest},
		"too much of it":   {http.MethodPost, `{"kind":"` + strings.Repeat("x", 8<<20), http.StatusRequestEntityTooLarge},
		"an empty request": {http.MethodPost, "", http.StatusBadRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			admission.New(config()).ServeHTTP(w, httptest.NewRequest(tt.method, admission.Path, strings.NewReader(tt.body)))
			if w.Code != tt.want {
				t.Errorf("answered %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

// FuzzAReviewIsAnswered has the handler meet what no API server sends.
func FuzzAReviewIsAnswered(f *testing.F) {
	for _, r := range []request{
		{namespace: "demo", pod: `{"spec":{"containers":[{"name":"web","image":"nginx"}]}}`},
		{namespace: "demo", pod: `{"metadata":{"annotations":{"larder.dev/original-images":"{}"}},"spec":{"volumes":[{"image":{}}]}}`, before: `{}`},
		{subresource: "ephemeralcontainers", pod: `null`},
	} {
		body, err := json.Marshal(r.review())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	c := config()
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		admission.New(c).ServeHTTP(w, httptest.NewRequest(http.MethodPost, admission.Path, bytes.NewReader(body)))
		if w.Code != http.StatusOK {
			return
		}
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Response == nil || !got.Response.Allowed {
			t.Errorf("%s was answered %s (%v)", body, w.Body, err)
		}
	})
}
