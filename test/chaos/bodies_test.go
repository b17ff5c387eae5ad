package chaos_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// atOnce is how many clients misbehave in the same way at the same time.
	atOnce = 8
	// endless stands for a body without an end, in bytes.
	endless = 32 << 20
)

// together runs something several times at once.
func (b *besieged) together(do func() error) {
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			if err := do(); err != nil {
				b.t.Error(err)
			}
		})
	}
	group.Wait()
}

// uploadWithoutEnd sends bytes until it breaks off. What a POST brought is removed at
// once; what a PATCH brought is kept for whoever goes on, here one who cancels.
func (b *besieged) uploadWithoutEnd() {
	digest := newContent(0, 1).digest.String()
	b.together(func() error { return b.breakOff(http.MethodPost, "/v2/demo/endless/blobs/uploads/?digest="+digest) })
	b.together(func() error {
		a, err := b.client.do(b.t.Context(), request{method: http.MethodPost, path: "/v2/demo/endless/blobs/uploads/"})
		if err != nil || a.status != http.StatusAccepted {
			return fmt.Errorf("beginning an upload: %s: %w", a, err)
		}
		location := a.header.Get("Location")
		if err := b.breakOff(http.MethodPatch, location); err != nil {
			return err
		}
		a, err = b.client.do(b.t.Context(), request{method: http.MethodDelete, path: location})
		if err != nil || a.status != http.StatusNoContent {
			return fmt.Errorf("canceling an upload: %s: %w", a, err)
		}
		return nil
	})
	until(b.t, "what was broken off is removed", func() bool {
		left, err := os.ReadDir(filepath.Join(b.server.data, "uploads"))
		return err == nil && len(left) == 0
	})
}

// errBrokenOff is how a client's body ends that never would.
var errBrokenOff = errors.New("the client breaks off")

func (b *besieged) breakOff(method, path string) error {
	body := io.MultiReader(io.LimitReader(zeros{}, endless), brokenReader{})
	a, err := b.client.do(b.t.Context(), request{method: method, path: path, body: body, size: -1})
	if !errors.Is(err, errBrokenOff) {
		return fmt.Errorf("an upload that had not ended was answered: %s, %w", a, err)
	}
	return nil
}

// zeros cost the client no time that its well-behaved neighbor would miss.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBrokenOff }

// pushManifestWithoutEnd is answered with 413 once the manifest is too large.
func (b *besieged) pushManifestWithoutEnd() {
	head := "PUT /v2/demo/endless/manifests/1 HTTP/1.1\r\nHost: larder\r\nTransfer-Encoding: chunked\r\n" +
		"Content-Type: " + v1.MediaTypeImageManifest + "\r\nAuthorization: Basic " + basic() + "\r\n\r\n"
	const piece = 64 << 10
	chunk := fmt.Sprintf("%x\r\n%s\r\n", piece, strings.Repeat(" ", piece))
	b.together(func() error {
		return b.refusedMidway(head, chunk, http.StatusRequestEntityTooLarge)
	})
}

func basic() string {
	return base64.StdEncoding.EncodeToString([]byte("admin:" + adminPassword))
}

// pushHugeIndex sends an index that is too large, and one that is not, for its entries
// say nothing.
func (b *besieged) pushHugeIndex() {
	const entries = 1_000_000
	full := entry()
	b.together(func() error { return b.refused(http.StatusRequestEntityTooLarge, index(full, entries/10)) })
	b.together(func() error { return b.refused(http.StatusBadRequest, index("{}", entries)) })
	b.together(func() error { return b.refused(http.StatusBadRequest, index(full, 19_000)) })
}

func entry() string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, v1.MediaTypeImageManifest, newContent(0, 1).digest)
}

func index(entry string, count int) []byte {
	entries := strings.TrimSuffix(strings.Repeat(entry+",", count), ",")
	return []byte(`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[` + entries + `]}`)
}

// pullHugeIndexes asks for what no upstream should have. What is JSON and not too large is
// passed on as it is.
func (b *besieged) pullHugeIndexes() {
	for tag, raw := range map[string][]byte{"long": index("{}", 1_000_000), "nested": nested(1_000_000), "large": index(entry(), 100_000)} {
		d := b.hub.AddManifest("acme/endless", tag, v1.MediaTypeImageIndex, raw)
		b.together(func() error {
			a, err := b.client.do(context.WithoutCancel(b.t.Context()), request{
				method: http.MethodGet, path: "/v2/docker-hub/acme/endless/manifests/" + tag,
			})
			given := a.status == http.StatusOK && a.digest == d
			refused := a.status == http.StatusBadGateway && strings.Contains(string(a.body), "UPSTREAM_INVALID")
			if err != nil || given != (tag == "long") || refused == (tag == "long") {
				return fmt.Errorf("the %s index was answered %d %.300s, %w", tag, a.status, a.body, err)
			}
			return nil
		})
	}
}

// pushNestedManifest sends a manifest that only a parser with a bound can refuse.
func (b *besieged) pushNestedManifest() {
	b.together(func() error { return b.refused(http.StatusBadRequest, nested(1_000_000)) })
}

func nested(depth int) []byte {
	return []byte(`{"schemaVersion":2,"annotations":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
}

// refused pushes an index that must not be taken.
func (b *besieged) refused(status int, raw []byte) error {
	a, err := b.client.do(context.WithoutCancel(b.t.Context()), request{
		method: http.MethodPut, path: "/v2/demo/endless/manifests/1",
		header: map[string]string{"Content-Type": v1.MediaTypeImageIndex}, body: bytes.NewReader(raw), size: int64(len(raw)),
	})
	if err != nil || a.status != status {
		return fmt.Errorf("a manifest of %d bytes was answered: %s, want %d: %w", len(raw), a, status, err)
	}
	return nil
}
