package registry_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/oci"
)

func TestABlobForWhoseRowThereIsNoRoomLeavesNoBytes(t *testing.T) {
	content := random(t, 1000)
	d := digest.FromBytes(content)
	tests := []struct {
		name string
		push func(*house) error
	}{
		{"in one request", func(h *house) error {
			return h.PutBlob(t.Context(), app, d, bytes.NewReader(content))
		}},
		{"in an upload that ends with all of it", func(h *house) error {
			return h.FinishUpload(t.Context(), app, h.start(digest.SHA256), d, nil, bytes.NewReader(content))
		}},
		{"in chunks", func(h *house) error {
			id := h.start(digest.SHA256)
			h.append(id, content[:600])
			return h.FinishUpload(t.Context(), app, id, d, nil, bytes.NewReader(content[600:]))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			free := metadatatest.UseUp(t, filepath.Join(h.dir, "metadata.db"), "INSERT ON blobs")
			expectCode(t, oci.CodeInsufficientSpace, tt.push(h))
			if n := h.stored(); n != 0 {
				t.Errorf("%d blobs are left in storage", n)
			}
			free()
			if err := tt.push(h); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPushForWhoseLinkThereIsNoRoomLeavesTheBlobOfOthers(t *testing.T) {
	h := newHouse(t)
	content := random(t, 1000)
	d := h.pushBlob(app, content)
	metadatatest.UseUp(t, filepath.Join(h.dir, "metadata.db"), "INSERT ON blob_links")
	expectCode(t, oci.CodeInsufficientSpace, h.PutBlob(t.Context(), other, d, bytes.NewReader(content)))
	if !bytes.Equal(content, h.readBlob(app, d)) {
		t.Error("the blob has other bytes than were pushed")
	}
}

// stored counts the blobs in storage.
func (h *house) stored() (count int) {
	h.t.Helper()
	if err := h.files.Walk(h.t.Context(), func(blob.Entry) error { count++; return nil }); err != nil {
		h.t.Fatal(err)
	}
	return count
}
