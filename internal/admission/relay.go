package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

const (
	// relayWithin is how long the registry may take for a review. The API server waits for
	// two seconds in all.
	relayWithin = time.Second
	// relayRest is how long the registry is left alone after it has failed to answer.
	relayRest = 2 * time.Second
	// maxAnswer bounds what the registry answers, in bytes: patches of a few images.
	maxAnswer = 1 << 20
)

// RelayConfig is what a Relay works with.
type RelayConfig struct {
	// To is the URL of the registry's webhook.
	To      string
	Client  *http.Client
	Now     func() time.Time
	Metrics *Metrics
	Log     *slog.Logger
}

// Relay has reviews answered by the registry's webhook, and while that is away leaves pods
// as they are, at once. It lives apart from the registry, so that an API server does not
// have to wait for a registry that restarts or whose node is gone.
type Relay struct {
	RelayConfig
	// resting is when the registry is asked again, in nanoseconds since 1970; 0 while it
	// answers.
	resting atomic.Int64
}

// NewRelay makes a Relay.
func NewRelay(c RelayConfig) *Relay { return &Relay{RelayConfig: c} }

// ServeHTTP answers every review that can be read.
func (r *Relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, ok := readReview(w, q)
	if !ok {
		return
	}
	if r.mayAsk() {
		answer, err := r.ask(q.Context(), body)
		if err == nil {
			r.resting.Store(0)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
		if q.Context().Err() != nil {
			r.resting.Store(0) // it was the API server that went away
			return
		}
		r.resting.Store(r.Now().Add(relayRest).UnixNano())
		r.Log.Warn("the registry's webhook does not answer; new pods keep their images until it does", "url", r.To, "error", err)
	}
	r.leave(w, body)
}

// mayAsk tells whether the registry is asked. After a rest one review tries, and the others
// do not wait for how it ends.
func (r *Relay) mayAsk() bool {
	now, until := r.Now(), r.resting.Load()
	switch {
	case until == 0:
		return true
	case now.UnixNano() < until:
		return false
	}
	return r.resting.CompareAndSwap(until, now.Add(relayWithin).UnixNano())
}

// ask posts a review to the registry.
func (r *Relay) ask(ctx context.Context, review []byte) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, relayWithin)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.To, bytes.NewReader(review))
	if err != nil {
		return nil, fmt.Errorf("preparing to ask the registry: %w", err)
	}
	q.Header.Set("Content-Type", "application/json")
	response, err := r.Client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("asking the registry: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the registry's answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the registry answers %s", response.Status)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the registry's answer is larger than %d bytes", maxAnswer)
	}
	return answer, nil
}

// leave answers that a pod stays as it is.
func (r *Relay) leave(w http.ResponseWriter, body []byte) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil || review.Request == nil {
		http.Error(w, noReview, http.StatusBadRequest)
		return
	}
	r.Metrics.left(review.Request, away)
	respond(w, &admissionv1.AdmissionResponse{
		UID: review.Request.UID, Allowed: true, AuditAnnotations: map[string]string{auditLeft: away.text()},
	}, r.Log)
}
