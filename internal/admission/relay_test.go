package admission_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/admission"
)

// registryWebhook stands for the registry behind a relay.
type registryWebhook struct {
	asked  atomic.Int32
	answer func(*http.Request) (*http.Response, error)
}

func (w *registryWebhook) RoundTrip(q *http.Request) (*http.Response, error) {
	w.asked.Add(1)
	return w.answer(q)
}

func newRelay(w *registryWebhook) *admission.Relay {
	return admission.NewRelay(admission.RelayConfig{
		To: "https://registry.example/kubernetes/mutate", Client: &http.Client{Transport: w}, Now: time.Now,
		Metrics: admission.NewMetrics(prometheus.NewRegistry(), nil), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func answers(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// hangs answers nothing until whoever asks gives up.
func hangs(q *http.Request) (*http.Response, error) {
	<-q.Context().Done()
	return nil, q.Context().Err()
}

// posted is what a relay answers to a review, and how long that takes.
func posted(relay http.Handler, body string) (string, time.Duration) {
	w := httptest.NewRecorder()
	begun := time.Now()
	relay.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/kubernetes/mutate", strings.NewReader(body)))
	return strings.TrimSpace(w.Body.String()), time.Since(begun)
}

const (
	aReview   = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","namespace":"demo"}}`
	leftAlone = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"7","allowed":true,` +
		`"auditAnnotations":{"left":"the registry does not answer"}}}`
)

func TestARelayPassesOnWhatTheRegistryAnswers(t *testing.T) {
	registry := &registryWebhook{answer: func(q *http.Request) (*http.Response, error) {
		sent, err := io.ReadAll(q.Body)
		if err != nil || q.Method != http.MethodPost || q.URL.String() != "https://registry.example/kubernetes/mutate" {
			t.Errorf("the registry is asked %s %s (%v)", q.Method, q.URL, err)
		}
		return answers(http.StatusOK, "answer to "+string(sent))(q)
	}}
	if got, _ := posted(newRelay(registry), aReview); got != "answer to "+aReview {
		t.Errorf("the API server gets %s", got)
	}
}

func TestARelayLeavesPodsAsTheyAreWhileTheRegistryIsAway(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"no connection":     func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"silence":           hangs,
		"an error":          answers(http.StatusBadGateway, "try later"),
		"a redirect":        answers(http.StatusFound, ""),
		"an endless answer": answers(http.StatusOK, strings.Repeat("x", 2<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, took := posted(newRelay(&registryWebhook{answer: answer}), aReview)
				if diff := cmp.Diff(leftAlone, got); diff != "" {
					t.Errorf("the answer (-want +got):\n%s", diff)
				}
				if took > time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestOnePodWaitsForASilentRegistryAndTheOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &registryWebhook{answer: hangs}
		relay := newRelay(registry)
		if _, took := posted(relay, aReview); took != time.Second {
			t.Errorf("the first one waited %s", took)
		}
		for range 100 {
			if got, took := posted(relay, aReview); took != 0 || got != leftAlone {
				t.Errorf("another one waited %s and got %s", took, got)
			}
		}
		time.Sleep(2 * time.Second)
		slow := make(chan time.Duration)
		go func() {
			_, took := posted(relay, aReview)
			slow <- took
		}()
		synctest.Wait()
		if _, took := posted(relay, aReview); took != 0 {
			t.Errorf("while one tries again, another one waits %s", took)
		}
		if took := <-slow; took != time.Second {
			t.Errorf("the one that tries waits %s", took)
		}
		registry.answer = answers(http.StatusOK, "rewritten")
		time.Sleep(2 * time.Second)
		for range 3 {
			if got, _ := posted(relay, aReview); got != "rewritten" {
				t.Errorf("the registry is back, and the answer is %s", got)
			}
		}
		if asked := registry.asked.Load(); asked != 5 {
			t.Errorf("the registry was asked %d times, want 5", asked)
		}
	})
}

func TestARelayRefusesWhatIsNoReview(t *testing.T) {
	relay := newRelay(&registryWebhook{answer: hangs})
	for body, want := range map[string]string{
		"{}": "no AdmissionReview", "": "no AdmissionReview", strings.Repeat("x", 8<<20): "larger than 7 MiB",
	} {
		if got, _ := posted(relay, body); !strings.Contains(got, want) {
			t.Errorf("%d bytes: %q, want %q", len(body), got, want)
		}
	}
}
