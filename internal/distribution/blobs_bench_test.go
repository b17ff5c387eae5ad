package distribution_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
)

// BenchmarkAStoredBlob sends a blob that was sent before over one connection.
func BenchmarkAStoredBlob(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"16KiB", 16 << 10}, {"64MiB", 64 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			f := newFixture(b)
			content := bytes.Repeat([]byte("0123456789abcdef"), size.bytes/16)
			d := digest.FromBytes(content)
			if err := f.hosted.PutBlob(b.Context(), "demo/app", d, bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, f.URL+"/v2/demo/app/blobs/"+d.String(), nil)
			if err != nil {
				b.Fatal(err)
			}
			r.SetBasicAuth("admin", f.secrets["admin"])
			fetch := func() {
				got, err := f.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, got.Body)
				_ = got.Body.Close()
				if err != nil || n != int64(size.bytes) {
					b.Fatalf("%s: %d bytes, %v", got.Status, n, err)
				}
			}
			fetch()
			b.SetBytes(int64(size.bytes))
			for b.Loop() {
				fetch()
			}
		})
	}
}
