package imagecopy

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/larder-registry/larder/internal/oci"
)

// Place is an image in a registry or in a folder, as a person writes it.
type Place struct {
	// Folder is that of an OCI image layout; empty for a registry.
	Folder string
	// Archive says that it is a tar file in place of a folder.
	Archive bool
	// Reference is the image in a folder: a tag, a digest, or nothing for the only one.
	Reference string

	image name.Reference // in a registry
}

// Naming is how references are read.
type Naming struct {
	// InsecureHTTP lets every registry be spoken to without TLS, where it offers none.
	InsecureHTTP bool
}

func (n Naming) options() []name.Option {
	if n.InsecureHTTP {
		return []name.Option{name.Insecure}
	}
	return nil
}

// Source reads the place of an image that is there: HOST/NAME[:TAG|@DIGEST], with
// Docker Hub as the host that may be left out, oci:FOLDER[:TAG|@DIGEST], or
// oci-archive:FILE with the same. skopeo's docker:// may stand before a registry's.
func (n Naming) Source(text string) (Place, error) {
	if folder, ok := cutFolder(text); ok {
		return folder.checked(text)
	}
	text = strings.TrimPrefix(text, "docker://")
	image, err := name.ParseReference(text, n.options()...)
	if err == nil && strings.Contains(text, "://") {
		err = errors.New("only docker:// may stand before it, and once")
	}
	if err != nil {
		return Place{}, fmt.Errorf("%q is no image: write HOST/NAME:TAG, HOST/NAME@DIGEST, or oci:FOLDER:TAG: %w", text, err)
	}
	return Place{image: image}, nil
}

// Destination is Source for where an image shall be. The host may not be left out:
// nobody means to publish on Docker Hub by leaving out a word.
func (n Naming) Destination(text string) (Place, error) {
	to, err := n.Source(text)
	switch {
	case err != nil:
		return to, err
	case to.Archive:
		return Place{}, fmt.Errorf("%q cannot be written to: copy to oci:FOLDER:TAG, and pack the folder with tar", text)
	case to.Folder != "":
		return to, nil
	}
	if err := namesHost(text); err != nil {
		return Place{}, err
	}
	return to, nil
}

func namesHost(text string) error {
	text = strings.TrimPrefix(text, "docker://")
	host, _, found := strings.Cut(text, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return nil
	}
	return fmt.Errorf("%q does not say to which registry: write HOST/%s, and docker.io/%s for Docker Hub", text, text, text)
}

// How the places begin that are no registry.
const (
	folderScheme  = "oci:"
	archiveScheme = "oci-archive:"
)

// cutFolder reads oci:FOLDER, oci://FOLDER and oci-archive:FILE, each with an optional tag
// or digest.
func cutFolder(text string) (Place, bool) {
	rest, archive := strings.CutPrefix(text, archiveScheme)
	if !archive {
		var ok bool
		if rest, ok = strings.CutPrefix(text, folderScheme); !ok {
			return Place{}, false
		}
	}
	rest = strings.TrimPrefix(rest, "//")
	p := Place{Folder: rest, Archive: archive}
	// A colon before the last slash belongs to the folder's name.
	for _, separator := range []string{"@", ":"} {
		if i := strings.LastIndex(rest, separator); i > strings.LastIndexByte(rest, '/') {
			p.Folder, p.Reference = rest[:i], rest[i+1:]
			return p, true
		}
	}
	return p, true
}

func (p Place) scheme() string {
	if p.Archive {
		return archiveScheme
	}
	return folderScheme
}

func (p Place) checked(text string) (Place, error) {
	none := p.Folder == ""
	p.Folder = filepath.Clean(p.Folder)
	if none || strings.ContainsAny(filepath.Base(p.Folder), ":@") {
		return Place{}, fmt.Errorf("%q names no folder and no file: write oci:FOLDER:TAG or oci-archive:FILE:TAG", text)
	}
	if p.Reference == "" {
		return p, nil
	}
	_, err := oci.ParseReference(p.Reference)
	return p, err
}

// NamedAfter gives a folder without a tag or digest those of the source.
func (p Place) NamedAfter(from Place) Place {
	if p.Folder == "" || p.Reference != "" {
		return p
	}
	p.Reference = from.Reference
	if from.image != nil {
		p.Reference = from.image.Identifier()
	}
	return p
}

// String is the place as Source reads it.
func (p Place) String() string {
	switch {
	case p.Folder == "" && p.image == nil:
		return ""
	case p.Folder == "":
		return p.hub(p.image.Name())
	case p.Reference == "":
		return p.scheme() + p.Folder
	case strings.Contains(p.Reference, ":"):
		return p.scheme() + p.Folder + "@" + p.Reference
	}
	return p.scheme() + p.Folder + ":" + p.Reference
}

// hub calls Docker Hub as people do.
func (Place) hub(text string) string {
	if rest, ok := strings.CutPrefix(text, name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return text
}
