package hubsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	linkPurpose = "link"
	linkPrefix  = "/registry-v2/docker/registry/v2/blobs/"
	linkSuffix  = "/data"
)

func (h *Hub) serveBlob(w http.ResponseWriter, r *http.Request, t target) {
	d, ok := asDigest(t.reference)
	if !ok || !h.store.links(t.repository(), d) {
		writeUnknown(w, t)
		return
	}
	if !h.options.DirectBlobs {
		http.Redirect(w, r, h.link(d), http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Docker-Content-Digest", d.String())
	h.serveBytes(w, r, d)
}

// link is where the CDN serves a blob, signed for a short time.
func (h *Hub) link(d digest.Digest) string {
	path := linkPrefix + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded() + linkSuffix
	expires := strconv.FormatInt(h.options.Clock().Add(h.options.LinkLife).UnixNano(), 10)
	return fmt.Sprintf("%s%s?verify=%s-%s", h.cdn.url, path, expires, h.signer.sign(linkPurpose, path+"\n"+expires))
}

// linkHolds reports whether the CDN signed this request's link and its time is
// not over.
func (h *Hub) linkHolds(r *http.Request) bool {
	expires, signature, _ := strings.Cut(r.URL.Query().Get("verify"), "-")
	if !h.signer.valid(linkPurpose, r.URL.Path+"\n"+expires, signature) {
		return false
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && h.options.Clock().UnixNano() < until
}

func digestOfLink(path string) (digest.Digest, bool) {
	rest, hasPrefix := strings.CutPrefix(path, linkPrefix)
	rest, hasSuffix := strings.CutSuffix(rest, linkSuffix)
	parts := strings.Split(rest, "/")
	if !hasPrefix || !hasSuffix || len(parts) != 3 {
		return "", false
	}
	return asDigest(parts[0] + ":" + parts[2])
}

func (h *Hub) serveCDN(w http.ResponseWriter, r *http.Request, t target, _ caller) {
	d, ok := asDigest(t.reference)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		writeBody(w, http.StatusMethodNotAllowed, "text/plain", []byte("method not allowed\n"))
	case !ok:
		writeUnknown(w, t)
	case !h.linkHolds(r):
		writeBody(w, http.StatusForbidden, "text/plain", []byte("error code: 1020\n"))
	default:
		h.serveBytes(w, r, d)
	}
}

// serveBytes sends a blob, or the range of it that was asked for.
func (h *Hub) serveBytes(w http.ResponseWriter, r *http.Request, d digest.Digest) {
	content, ok := h.store.blob(d)
	if !ok {
		writeUnknown(w, target{path: BlobPath, reference: d.String()})
		return
	}
	h.pause(r, h.options.BlobLatency, nil)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", strconv.Quote(d.Encoded()))
	if h.options.BlobBandwidth > 0 && r.Method == http.MethodGet {
		w = &pacedWriter{
			ResponseWriter: w, rate: h.options.BlobBandwidth, start: time.Now(),
			pause: func(d time.Duration) { h.pause(r, d, nil) },
		}
	}
	http.ServeContent(w, r, "", time.Time{}, content.reader())
}

// pause waits, but no longer than the client, the Hub and the fault that asked
// for it last.
func (h *Hub) pause(r *http.Request, d time.Duration, ended <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	case <-h.closing:
	case <-r.Context().Done():
	}
}

// pacedWriter holds a body back to a rate in bytes per second.
type pacedWriter struct {
	http.ResponseWriter
	rate  int64
	start time.Time
	sent  int64
	pause func(time.Duration)
}

// Write sends, then waits until the rate allows more.
func (w *pacedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	w.sent += int64(n)
	due := time.Duration(float64(w.sent) / float64(w.rate) * float64(time.Second))
	if ahead := due - time.Since(w.start); ahead > 0 {
		// What is sent so far shall arrive before the wait, not after it.
		err = http.NewResponseController(w.ResponseWriter).Flush()
		w.pause(ahead)
	}
	return n, err
}
