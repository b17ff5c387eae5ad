package hubsim

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types of image manifest version 2, schema 2.
const (
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig       = "application/vnd.docker.container.image.v1+json"
	dockerLayer        = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// manifest is a stored manifest or index with what answers need of it.
type manifest struct {
	digest       digest.Digest
	mediaType    string
	raw          []byte
	subject      digest.Digest
	artifactType string
	annotations  map[string]string
}

func newManifest(mediaType string, raw []byte) manifest {
	m := manifest{digest: digest.FromBytes(raw), mediaType: mediaType, raw: raw}
	var fields struct {
		ArtifactType string              `json:"artifactType"`
		Config       ocispec.Descriptor  `json:"config"`
		Subject      *ocispec.Descriptor `json:"subject"`
		Annotations  map[string]string   `json:"annotations"`
	}
	// Whatever is stored is served: what does not parse refers to nothing.
	if json.Unmarshal(raw, &fields) != nil {
		return m
	}
	m.annotations = fields.Annotations
	if m.artifactType = fields.ArtifactType; m.artifactType == "" {
		m.artifactType = fields.Config.MediaType
	}
	if fields.Subject != nil {
		m.subject = fields.Subject.Digest
	}
	return m
}

func (h *Hub) serveManifest(w http.ResponseWriter, r *http.Request, t target, c caller) {
	stored, ok := h.store.manifest(t.repository(), t.reference)
	if !ok {
		h.meterHeaders(w, c)
		writeUnknown(w, t)
		return
	}
	answer, refusal := h.negotiate(r, t, stored)
	if refusal != "" {
		h.meterHeaders(w, c)
		writeError(w, http.StatusNotFound, apiError{Code: "MANIFEST_UNKNOWN", Message: refusal})
		return
	}
	if !h.meterPull(w, r, c) {
		return
	}
	w.Header().Set("Docker-Content-Digest", answer.digest.String())
	writeBody(w, http.StatusOK, answer.mediaType, answer.raw)
}

// negotiate finds what a client can read, as registries do for old clients:
// a Docker manifest list turns into its linux/amd64 manifest, an OCI document
// is refused with a reason. No Accept header takes anything.
func (h *Hub) negotiate(r *http.Request, t target, stored manifest) (answer manifest, refusal string) {
	if accepts(r.Header.Values("Accept"), stored.mediaType) {
		return stored, ""
	}
	switch stored.mediaType {
	case ocispec.MediaTypeImageIndex:
		return manifest{}, "OCI index found, but accept header does not support OCI indexes"
	case ocispec.MediaTypeImageManifest:
		return manifest{}, "OCI manifest found, but accept header does not support OCI manifests"
	case dockerManifestList:
		if child, ok := h.store.child(t.repository(), stored, "linux", "amd64"); ok {
			return child, ""
		}
		return manifest{}, "manifest list found, but it has no manifest for linux/amd64"
	default:
		return stored, ""
	}
}

func accepts(headers []string, mediaType string) bool {
	if len(headers) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		accepted, _, err := mime.ParseMediaType(part)
		if err == nil && (accepted == mediaType || accepted == "*/*" || accepted == "application/*") {
			return true
		}
	}
	return false
}
