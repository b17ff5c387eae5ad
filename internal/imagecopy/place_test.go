package imagecopy_test

import (
	"testing"

	"github.com/larder-registry/larder/internal/imagecopy"
)

func TestPlacesAreReadAsOtherToolsReadThem(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                             "docker.io/library/nginx:latest",
		"docker.io/library/nginx:1":         "docker.io/library/nginx:1",
		"docker://quay.io/a/b:1":            "quay.io/a/b:1",
		"localhost:5000/a/b":                "localhost:5000/a/b:latest",
		"oci:images":                        "oci:images",
		"oci:images:1.0":                    "oci:images:1.0",
		"oci:/abs/with:colon/images:v1":     "oci:/abs/with:colon/images:v1",
		"oci://images:v1":                   "oci:images:v1",
		"oci:///abs/images":                 "oci:/abs/images",
		"oci:images@sha256:" + hex64:        "oci:images@sha256:" + hex64,
		"example.com/a/b@sha256:" + hex64:   "example.com/a/b@sha256:" + hex64,
		"docker.io/library/nginx:1@sha256":  "",
		"oci-archive:larder.tar":            "oci-archive:larder.tar",
		"oci-archive:/abs/larder.tar:1.0":   "oci-archive:/abs/larder.tar:1.0",
		"oci-archive:l.tar@sha256:" + hex64: "oci-archive:l.tar@sha256:" + hex64,
		"oci-archive:":                      "",
		"oci:":                              "",
		"oci::v1":                           "",
		"oci:images:-bad":                   "",
		"oci:images@md5:1":                  "",
		"Example.com/UPPER":                 "",
		"":                                  "",
	} {
		got, err := imagecopy.Naming{}.Source(text)
		if (err != nil) != (want == "") || got.String() != want && want != "" {
			t.Errorf("%q is read as %q (%v), want %q", text, got, err, want)
		}
	}
}

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestADestinationNamesItsRegistry(t *testing.T) {
	for text, good := range map[string]bool{
		"demo/app:1": false, "nginx": false, "docker.io/me/app": true, "localhost/a/b": true,
		"127.0.0.1:5000/a/b": true, "oci:images:1": true, "docker://demo/app": false,
		"oci-archive:images.tar:1": false,
	} {
		if _, err := (imagecopy.Naming{}).Destination(text); (err == nil) != good {
			t.Errorf("%q: %v, want it to be good: %t", text, err, good)
		}
	}
}

func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{"nginx", "oci:a:b", "oci://a@sha256:" + hex64, "docker://h.example/a/b:c", "oci:C:\\a", "h:1/a@b", "docker://docker://h/a", "oci:/a@b/.", "oci:x:y/z/..:t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := imagecopy.Naming{}.Source(text)
		if err != nil {
			return
		}
		again, err := imagecopy.Naming{}.Source(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q is %q, which is read as %q (%v)", text, p, again, err)
		}
	})
}
