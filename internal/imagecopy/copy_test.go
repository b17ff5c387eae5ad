package imagecopy_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/larder-registry/larder/internal/imagecopy"
)

var discard = log.New(io.Discard, "", 0)

func TestACopyKeepsTheDigestAndAllPlatforms(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	index := from.pushIndex("demo/app:1")

	result := copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")

	if got := to.digest("new/app:1"); got != digestOf(t, index) || result.Digest.String() != got {
		t.Errorf("it is %s at the destination, %s was copied, and the result says %s", got, digestOf(t, index), result.Digest)
	}
	back, err := remote.Index(to.reference("new/app:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(back); err != nil {
		t.Error(err)
	}
}

func TestWhatIsThereIsNotSentAgain(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	from.push("demo/app:1")
	first := copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if first.Blobs != 3 || first.Held != 0 || !first.Changed() {
		t.Errorf("the first copy: %+v", first)
	}
	from.sent("GET", "")
	to.sent("PUT", "")

	again := copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if again.Changed() || again.Blobs+again.Manifests != 0 {
		t.Errorf("the second copy: %+v", again)
	}
	if n := from.sent("GET", "/manifests/"); n != 0 {
		t.Errorf("the source was asked for %d manifests, and a pull was counted", n)
	}
	other := copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:2")
	if other.Blobs != 0 || other.Held != 3 {
		t.Errorf("a second tag: %+v", other)
	}
	if n := to.sent("PUT", "/blobs/"); n != 0 {
		t.Errorf("%d blobs were sent again", n)
	}
}

func TestACopyThatBrokeOffGoesOnWhereItWas(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	from.push("demo/app:1")
	to.refusing(http.StatusInsufficientStorage, "PUT", "/manifests/")

	_, _, err := try(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if err == nil || !strings.Contains(err.Error(), "507") {
		t.Fatalf("the registry's answer is not told: %v", err)
	}
	to.healed()
	result := copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if result.Blobs != 0 || result.Held != 3 || to.digest("new/app:1") != from.digest("demo/app:1") {
		t.Errorf("the copy after it: %+v", result)
	}
}

func TestSomePlatformsMakeAnIndexOfThoseWithTheirAttestations(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	index := from.pushIndex("demo/app:1")
	only := imagecopy.Options{Platforms: []v1.Platform{{OS: "linux", Architecture: "arm64"}}}

	result := copied(t, only, from.host+"/demo/app:1", to.host+"/new/app:1")
	if result.Was.String() != digestOf(t, index) || result.Digest == result.Was {
		t.Errorf("the result does not tell that the digest has changed: %+v", result)
	}
	back, err := remote.Index(to.reference("new/app:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(back); err != nil {
		t.Error(err)
	}
	got, err := back.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range got.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if diff := cmp.Diff([]string{"linux/arm64/v8", "unknown/unknown"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	if got.Annotations["made"] != "by a test" {
		t.Errorf("the index has lost its annotations: %v", got.Annotations)
	}
	if again := copied(t, only, from.host+"/demo/app:1", to.host+"/new/app:1"); again.Changed() || again.Manifests != 0 {
		t.Errorf("the same copy again: %+v", again)
	}
}

func TestAPlatformThatTheImageHasNotIsNamedWithThoseThatItHas(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	from.pushIndex("demo/app:1")
	_, _, err := try(t, imagecopy.Options{Platforms: []v1.Platform{{OS: "linux", Architecture: "s390x"}}}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if err == nil || !strings.Contains(err.Error(), "no platform linux/s390x; it has linux/amd64") {
		t.Errorf("got %v", err)
	}
	from.push("demo/app:2")
	_, _, err = try(t, imagecopy.Options{Platforms: []v1.Platform{arm64}}, from.host+"/demo/app:2", to.host+"/new/app:1")
	if err == nil || !strings.Contains(err.Error(), "for the platform linux/amd64 alone") {
		t.Errorf("an image without an index: %v", err)
	}
	copied(t, imagecopy.Options{Platforms: []v1.Platform{arm64, amd64}}, from.host+"/demo/app:2", to.host+"/new/app:1")
}

func TestAFolderHoldsTheImageAndGivesItBack(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	index := from.pushIndex("demo/app:1")
	image := from.push("demo/app:2")
	folder := "oci:" + filepath.Join(t.TempDir(), "images")

	copied(t, imagecopy.Options{}, from.host+"/demo/app:1", folder+":one")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:2", folder+":two")
	again := copied(t, imagecopy.Options{}, from.host+"/demo/app:2", folder+":two")
	if again.Changed() {
		t.Errorf("the same image again: %+v", again)
	}
	copied(t, imagecopy.Options{}, folder+":one", to.host+"/new/app:1")
	copied(t, imagecopy.Options{}, folder+"@"+digestOf(t, image), to.host+"/new/app:2")

	got := []string{to.digest("new/app:1"), to.digest("new/app:2")}
	if diff := cmp.Diff([]string{digestOf(t, index), digestOf(t, image)}, got); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
	whole, err := layout.ImageIndexFromPath(strings.TrimPrefix(folder, "oci:"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(whole); err != nil {
		t.Error(err)
	}
	_, _, err = try(t, imagecopy.Options{}, folder, to.host+"/new/app:3")
	if err == nil || !strings.Contains(err.Error(), "one, two") {
		t.Errorf("without a tag it is not said which there are: %v", err)
	}
}

func TestATagInAFolderMovesToTheNewImage(t *testing.T) {
	from := newRegistry(t)
	from.push("demo/app:1")
	second := from.push("demo/app:2")
	folder := filepath.Join(t.TempDir(), "images")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:1", "oci:"+folder+":now")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:2", "oci:"+folder+":now")

	whole, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	list, err := whole.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != digestOf(t, second) {
		t.Errorf("the folder's index is %+v", list.Manifests)
	}
}

func TestAFolderWithOtherFilesIsLeftAlone(t *testing.T) {
	from := newRegistry(t)
	from.push("demo/app:1")
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "letter.txt"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := try(t, imagecopy.Options{}, from.host+"/demo/app:1", "oci:"+folder+":1")
	if err == nil || !strings.Contains(err.Error(), "holds other files") {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v now (%v)", entries, err)
	}
}

func TestReferrersComeWithTheirImageWhereTheyAreWanted(t *testing.T) {
	from, to, last := newRegistry(t), newRegistry(t), newRegistry(t)
	image := from.push("demo/app:1")
	referrer := from.attach("demo/app", image)
	signature := "sha256-" + strings.TrimPrefix(digestOf(t, image), "sha256:") + ".sig"
	from.push("demo/app:" + signature)
	folder := "oci:" + filepath.Join(t.TempDir(), "images")

	copied(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/plain/app:1")
	copied(t, imagecopy.Options{Referrers: true}, from.host+"/demo/app:1", to.host+"/new/app:1")
	copied(t, imagecopy.Options{Referrers: true}, from.host+"/demo/app:1", folder+":1")
	copied(t, imagecopy.Options{Referrers: true}, folder+":1", last.host+"/new/app:1")

	for _, test := range []struct {
		in   *registry
		what string
		want bool
	}{
		{to, "plain/app@" + referrer, false},
		{to, "plain/app:" + signature, false},
		{to, "new/app@" + referrer, true},
		{to, "new/app:" + signature, true},
		{last, "new/app@" + referrer, true},
	} {
		if there := test.in.digest(test.what) != ""; there != test.want {
			t.Errorf("%s is there: %t, want %t", test.what, there, test.want)
		}
	}
}

func TestBytesThatDoNotMatchTheirDigestAreNeverStored(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	image := from.push("demo/app:1")
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	bad := digestOf(t, layers[0])
	honest := from.next
	from.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, bad) {
			w = flipped{w}
		}
		honest.ServeHTTP(w, r)
	})
	folder := filepath.Join(t.TempDir(), "images")
	for _, destination := range []string{to.host + "/new/app:1", "oci:" + folder + ":1"} {
		if _, _, err := try(t, imagecopy.Options{}, from.host+"/demo/app:1", destination); err == nil {
			t.Errorf("%s took it", destination)
		}
	}
	if to.digest("new/app:1") != "" {
		t.Error("the image is at the destination")
	}
	if _, err := os.Stat(filepath.Join(folder, "blobs", "sha256", strings.TrimPrefix(bad, "sha256:"))); !os.IsNotExist(err) {
		t.Errorf("the blob is in the folder: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "blobs", "sha256", ".larder-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("unfinished files are left: %v (%v)", left, err)
	}
}

func TestADamagedFolderIsFoundOut(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	image := from.push("demo/app:1")
	folder := filepath.Join(t.TempDir(), "images")
	copied(t, imagecopy.Options{}, from.host+"/demo/app:1", "oci:"+folder+":1")
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "blobs", "sha256", strings.TrimPrefix(digestOf(t, layers[0]), "sha256:"))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, damaged := range map[string][]byte{
		"changed": append([]byte{content[0] ^ 1}, content[1:]...), "cut": content[1:], "grown": append(content[:len(content):len(content)], 0),
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := try(t, imagecopy.Options{}, "oci:"+folder+":1", to.host+"/new/app:1")
		if err == nil || !strings.Contains(err.Error(), "has not the") && !strings.Contains(err.Error(), "have the digest") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if to.digest("new/app:1") != "" {
		t.Error("the image is at the destination")
	}
}

// flipped changes the first byte of what is written.
type flipped struct{ http.ResponseWriter }

func (f flipped) Write(p []byte) (int, error) {
	changed := slices.Clone(p)
	if len(changed) > 0 {
		changed[0] ^= 1
	}
	return f.ResponseWriter.Write(changed)
}

func TestASchema1ImageIsRefusedWithTheLineThatConvertsIt(t *testing.T) {
	to := newRegistry(t)
	from := newRegistry(t)
	from.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		_, _ = io.WriteString(w, `{"schemaVersion":1}`)
	})
	_, _, err := try(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:2")
	line := fmt.Sprintf("\n  skopeo copy --format v2s2 --src-tls-verify=false --dest-tls-verify=false docker://%s/demo/app:1 docker://%s/new/app:2", from.host, to.host)
	if err == nil || !strings.HasSuffix(err.Error(), line) {
		t.Errorf("%v does not end in the line\n%s", err, line)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	from.push("demo/app:1")
	result := copied(t, imagecopy.Options{DryRun: true}, from.host+"/demo/app:1", to.host+"/new/app:1")
	if !result.Changed() || to.digest("new/app:1") != "" {
		t.Errorf("%+v, and the destination names %q", result, to.digest("new/app:1"))
	}
}

func TestWhatARegistryRefusesIsSaidWithWhatToDo(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	from.push("demo/app:1")
	for status, says := range map[int]string{
		http.StatusUnauthorized: "log in with docker login " + to.host,
		http.StatusForbidden:    "does not let you",
		http.StatusGone:         "answered status 410",
	} {
		to.refusing(status, "POST", "/blobs/uploads/")
		_, _, err := try(t, imagecopy.Options{}, from.host+"/demo/app:1", to.host+"/new/app:1")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d: %v does not say %q", status, err, says)
		}
	}
	_, _, err := try(t, imagecopy.Options{}, from.host+"/demo/nothing:1", to.host+"/new/app:1")
	if err == nil || !strings.Contains(err.Error(), "does not exist, or you may not see it") {
		t.Errorf("an image that is not there: %v", err)
	}
}
