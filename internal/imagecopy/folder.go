package imagecopy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

// folder is an image in an OCI image layout: a source and a destination.
type folder struct {
	place Place
	files layoutFiles
	mu    sync.Mutex // held while index.json is changed
}

// layoutFiles are those of an image layout.
type layoutFiles interface {
	// open reads the file of that name below the layout's top, with slashes; an error of
	// the kind fs.ErrNotExist when there is none.
	open(name string) (io.ReadCloser, error)
}

func newFolder(p Place) *folder { return &folder{place: p, files: directory(p.Folder)} }

// directory is a folder of the machine.
type directory string

func (d directory) open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
}

func (f *folder) repository() *name.Repository { return nil }

func (f *folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.place.Folder}, elements...)...)
}

// index reads index.json; an absentError when there is none.
func (f *folder) index() (*v1.IndexManifest, error) {
	file, err := f.files.open(ocispec.ImageIndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absentf("%s is no OCI image layout: %w", f.place.Folder, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the index of %s: %w", f.place.Folder, err)
	}
	defer func() { _ = file.Close() }()
	list, err := v1.ParseIndexManifest(file)
	if err != nil {
		return nil, fmt.Errorf("reading the index of %s: %w", f.place.Folder, err)
	}
	return list, nil
}

// head finds the entry of index.json that the place names.
func (f *folder) head(context.Context) (oci.Descriptor, error) {
	list, err := f.index()
	if err != nil {
		return oci.Descriptor{}, err
	}
	var found []v1.Descriptor
	var tags []string
	for _, entry := range list.Manifests {
		tag := entry.Annotations[ocispec.AnnotationRefName]
		if tag != "" {
			tags = append(tags, tag)
		}
		if f.names(entry, tag) {
			found = append(found, entry)
		}
	}
	switch {
	case len(found) == 1, len(found) > 1 && f.place.Reference != "":
		return descriptor(found[0]), nil
	case len(found) > 1:
		return oci.Descriptor{}, fmt.Errorf("%s holds %d images: name one, as in %s:TAG; its tags are %s", f.place, len(found), f.place, strings.Join(tags, ", "))
	}
	return oci.Descriptor{}, absentf("there is no %s; the tags there are: %s", f.place, strings.Join(tags, ", "))
}

// names tells whether the place means an entry. Without a tag it is the only image;
// what refers to another image does not count.
func (f *folder) names(entry v1.Descriptor, tag string) bool {
	if f.place.Reference != "" {
		return tag == f.place.Reference || entry.Digest.String() == f.place.Reference
	}
	m, err := f.stored(digest.Digest(entry.Digest.String()), string(entry.MediaType))
	if err != nil {
		return true // the error comes when it is read
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	return err != nil || content.Subject == nil
}

func (f *folder) top(ctx context.Context) (oci.Manifest, error) {
	d, err := f.head(ctx)
	if err != nil {
		return oci.Manifest{}, err
	}
	return f.stored(d.Digest, d.MediaType)
}

// readBack reads the newest entry of that name.
func (f *folder) readBack(context.Context) (oci.Manifest, error) {
	list, err := f.index()
	if err != nil {
		return oci.Manifest{}, err
	}
	for _, entry := range slices.Backward(list.Manifests) {
		if entry.Annotations[ocispec.AnnotationRefName] == f.tag() {
			return f.stored(digest.Digest(entry.Digest.String()), string(entry.MediaType))
		}
	}
	return oci.Manifest{}, absentf("%s is not in index.json", f.place)
}

// tag is the name that an entry of index.json has.
func (f *folder) tag() string {
	if strings.Contains(f.place.Reference, ":") {
		return ""
	}
	return f.place.Reference
}

func (f *folder) manifest(_ context.Context, d digest.Digest) (oci.Manifest, error) {
	return f.stored(d, "")
}

// stored reads a manifest whose media type is known or is that of its own text.
func (f *folder) stored(d digest.Digest, mediaType string) (oci.Manifest, error) {
	body, err := f.open(d)
	if err != nil {
		return oci.Manifest{}, err
	}
	defer func() { _ = body.Close() }()
	content, err := io.ReadAll(io.LimitReader(body, oci.MaxManifestSize+1))
	switch {
	case err != nil:
		return oci.Manifest{}, fmt.Errorf("reading manifest %s in %s: %w", d, f.place.Folder, err)
	case len(content) > oci.MaxManifestSize:
		return oci.Manifest{}, fmt.Errorf("manifest %s in %s has more than %d bytes", d, f.place.Folder, oci.MaxManifestSize)
	case d.Algorithm().FromBytes(content) != d:
		return oci.Manifest{}, fmt.Errorf("manifest %s in %s is damaged: it has another digest", d, f.place.Folder)
	}
	if mediaType == "" {
		parsed, err := oci.ParseManifest("", content)
		if err != nil {
			return oci.Manifest{}, fmt.Errorf("reading manifest %s in %s: %w", d, f.place.Folder, err)
		}
		mediaType = parsed.MediaType
	}
	return oci.Manifest{MediaType: mediaType, Digest: d, Content: content}, nil
}

func (f *folder) open(d digest.Digest) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q in %s: %w", d, f.place.Folder, err)
	}
	body, err := f.files.open(path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
	if err != nil {
		return nil, fmt.Errorf("%s lacks %s, or it cannot be read: %w", f.place.Folder, d, err)
	}
	return body, nil
}

func (f *folder) blob(_ context.Context, d digest.Digest) (io.ReadCloser, error) { return f.open(d) }

// referrers looks through index.json, where everything with a subject is listed.
func (f *folder) referrers(_ context.Context, subject digest.Digest) ([]digest.Digest, error) {
	list, err := f.index()
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	for _, entry := range list.Manifests {
		m, err := f.stored(digest.Digest(entry.Digest.String()), string(entry.MediaType))
		if err != nil {
			return nil, err
		}
		content, err := oci.ParseManifest(m.MediaType, m.Content)
		if err == nil && content.Subject != nil && content.Subject.Digest == subject {
			all = append(all, m.Digest)
		}
	}
	return all, nil
}

// holds says no: that a folder has a manifest does not tell that the rest is there, and
// to look at it takes no network.
func (f *folder) holds(context.Context, digest.Digest) (bool, error) { return false, nil }

func (f *folder) putBlob(_ context.Context, b *blob) error {
	path := f.blobPath(b.Digest)
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == b.Size {
		return nil
	}
	if err := f.prepare(); err != nil {
		return err
	}
	body, err := b.open()
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return replaceFile(path, body)
}

func (f *folder) blobPath(d digest.Digest) string {
	return f.path(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// putManifest lists what refers to another manifest in index.json, too: there is no
// other way to find it (OCI Image 1.1, §Image layout).
func (f *folder) putManifest(_ context.Context, m oci.Manifest) error {
	if err := f.prepare(); err != nil {
		return err
	}
	if err := replaceFile(f.blobPath(m.Digest), bytes.NewReader(m.Content)); err != nil {
		return err
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil || content.Subject == nil {
		return nil
	}
	return f.list(m, "")
}

func (f *folder) name(ctx context.Context, m oci.Manifest) error {
	if strings.Contains(f.place.Reference, ":") && f.place.Reference != m.Digest.String() {
		return fmt.Errorf("the image has the digest %s, which %s does not name: give a tag", m.Digest, f.place)
	}
	if err := f.putManifest(ctx, m); err != nil {
		return err
	}
	return f.list(m, f.tag())
}

// list puts an entry into index.json. It replaces the one that has the tag, and without
// a tag the one of the same digest.
func (f *folder) list(m oci.Manifest, tag string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := f.index()
	if err != nil {
		return err
	}
	kept := index.Manifests[:0:0]
	for _, entry := range index.Manifests {
		has := entry.Annotations[ocispec.AnnotationRefName]
		if has != tag || (tag == "" && entry.Digest.String() != m.Digest.String()) {
			kept = append(kept, entry)
		}
	}
	hash, err := v1.NewHash(m.Digest.String())
	if err != nil {
		return fmt.Errorf("listing %s: %w", m.Digest, err)
	}
	entry := v1.Descriptor{MediaType: types.MediaType(m.MediaType), Digest: hash, Size: int64(len(m.Content))}
	if tag != "" {
		entry.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	}
	index.Manifests = append(kept, entry)
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path("index.json"), err)
	}
	return replaceFile(f.path("index.json"), bytes.NewReader(text))
}
