package admission

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// Warn says to the user what was rewritten.
	Warn    bool
	Metrics *Metrics
	Log     *slog.Logger
}

// Handler answers reviews.
type Handler struct{ Config }

// New makes a handler.
func New(c Config) *Handler { return &Handler{c} }

// ServeHTTP answers every review that can be read with "allowed".
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "This is for the API server of a Kubernetes cluster, which posts reviews of pods here.", http.StatusMethodNotAllowed)
		return
	}
	var review admissionv1.AdmissionReview
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReview)).Decode(&review)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "The review is larger than 7 MiB.", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil || review.Request == nil {
		http.Error(w, "This is no AdmissionReview of admission.k8s.io/v1 with a request.", http.StatusBadRequest)
		return
	}
	answer := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: h.review(review.Request),
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		h.Log.Debug("an admission review could not be answered", "error", err)
	}
}
