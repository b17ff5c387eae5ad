package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

const hookSecret = "a-secret-of-webhooks"

// receiver is what webhooks are sent to. It takes a request unless refuse says otherwise.
type receiver struct {
	*httptest.Server
	t      *testing.T
	refuse func(heard) int // a status; nil: nothing is refused

	mu  sync.Mutex
	all []heard
}

// heard is one request that was taken.
type heard struct {
	header http.Header
	body   string
	event  string
	about  string // REPOSITORY:TAG
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it was broken off
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	if got, want := req.Header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		r.t.Errorf("the signature is %q, want %q", got, want)
	}
	var p struct {
		PushData   struct{ Tag string }          `json:"push_data"`
		EventData  struct{ Tag, Message string } `json:"event_data"`
		Repository struct {
			RepoName string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		r.t.Errorf("the payload: %v", err)
	}
	h := heard{header: req.Header, body: string(body), event: req.Header.Get("X-Larder-Event"), about: p.Repository.RepoName + ":" + p.PushData.Tag + p.EventData.Tag}
	if r.refuse != nil {
		if status := r.refuse(h); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, h)
}

// hears waits until so many requests were taken, and tells what they were about.
func (r *receiver) hears(count int) []string {
	r.t.Helper()
	var about []string
	eventually(r.t, fmt.Sprintf("%d deliveries", count), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		about = nil
		for _, h := range r.all {
			about = append(about, h.event+" "+h.about)
		}
		return len(about) >= count
	})
	return about
}

// heard is one of the requests that were taken.
func (r *receiver) heard(i int) heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[i]
}

// hearsEach waits for as many deliveries, and tells them in order. One that was broken off
// when a server stopped, and so came again, is told once.
func (r *receiver) hearsEach(count int) (about []string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d deliveries, each at least once", count), func() bool {
		about = slices.Compact(r.hears(0))
		return len(about) >= count
	})
	return about
}
