package admission

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/opencontainers/go-digest"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/mirror"
)

// Path is where the API server posts reviews.
const Path = mirror.WebhookPath

// maxReview bounds a review, in bytes. An API server takes objects of up to 3 MiB, and an
// update brings two.
const maxReview = 7 << 20

// Config is what reviews are decided by.
type Config struct {
	Rules  mirror.Rules
	OptOut mirror.OptOut
	// Ready says why images cannot be served just now; nil when they can. It answers
	// without waiting for anything.
	Ready func() error
	// Public tells whether an image of another registry is known to be open to strangers.
	// It answers without waiting for anything; nil means that nothing is known.
	Public func(image string) bool
	// Coming is told of each pull through Larder that a pod will cause. It waits for nothing;
	// nil: nobody is told.
	Coming func(p Pull)
	// Local finds the image of this registry that a short name means, within the context's
	// time; nil means that short names are not looked up.
	Local func(ctx context.Context, image metadata.LocalImage) (digest.Digest, bool)
	// Warn says to the user what was rewritten.
	Warn    bool
	Metrics *Metrics
	Log     *slog.Logger
}

// Handler answers reviews.
type Handler struct{ Config }

// New makes a handler.
func New(c Config) *Handler { return &Handler{c} }

// noReview is said of a body that is none.
const noReview = "This is no AdmissionReview of admission.k8s.io/v1 with a request."

// ServeHTTP answers every review that can be read with "allowed".
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := readReview(w, r)
	if !ok {
		return
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		http.Error(w, noReview, http.StatusBadRequest)
		return
	}
	respond(w, h.review(r.Context(), review.Request), h.Log)
}

// readReview reads what an API server posts; it has answered where it returns false.
func readReview(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "This is for the API server of a Kubernetes cluster, which posts reviews of pods here.", http.StatusMethodNotAllowed)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "The review is larger than 7 MiB.", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	if err != nil {
		http.Error(w, noReview, http.StatusBadRequest)
		return nil, false
	}
	return body, true
}

func respond(w http.ResponseWriter, answer *admissionv1.AdmissionResponse, log *slog.Logger) {
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: answer,
	})
	if err != nil {
		log.Debug("an admission review could not be answered", "error", err)
	}
}
