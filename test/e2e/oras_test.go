package e2e_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	bill      = "application/vnd.example.bill+json"
	signature = "application/vnd.example.signature"
)

// newORAS is a repository as the library behind oras sees it, for the admin.
func newORAS(t *testing.T, repository string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	repo.PlainHTTP = true
	repo.Client = &auth.Client{
		Client:     &http.Client{Transport: own},
		Cache:      auth.NewCache(),
		Credential: auth.StaticCredential(repo.Reference.Registry, auth.Credential{Username: "admin", Password: adminPassword}),
	}
	return repo
}

// pushArtifact packs a text as an artifact and attaches it to the subject, if any.
func pushArtifact(t *testing.T, to *remote.Repository, artifactType, text string, subject *ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	layer, err := oras.PushBytes(t.Context(), to, "text/plain", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, artifactType,
		oras.PackManifestOptions{Subject: subject, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		t.Fatal(err)
	}
	return artifact
}

// referrers lists the digests of what refers to the subject, "" for all types.
func referrers(t *testing.T, repo *remote.Repository, subject ocispec.Descriptor, artifactType string) map[string]string {
	t.Helper()
	// A registry without the API makes the library fall back to tags: here it must not.
	if err := repo.SetReferrersCapability(true); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err := repo.Referrers(t.Context(), subject, artifactType, func(page []ocispec.Descriptor) error {
		for _, d := range page {
			found[d.Digest.String()] = d.ArtifactType
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestORASAttachesArtifactsAndFindsThemThroughTheReferrersAPI(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	repo := newORAS(t, s.main+"/demo/app")
	app := pushArtifact(t, repo, "application/vnd.example.app", "the app", nil)
	if err := repo.Tag(t.Context(), app, "1"); err != nil {
		t.Fatal(err)
	}
	itsBill := pushArtifact(t, repo, bill, "what is in it", &app)
	itsSignature := pushArtifact(t, repo, signature, "who made it", &app)

	all := map[string]string{itsBill.Digest.String(): bill, itsSignature.Digest.String(): signature}
	if diff := cmp.Diff(all, referrers(t, newORAS(t, s.main+"/demo/app"), app, "")); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
	bills := map[string]string{itsBill.Digest.String(): bill}
	if diff := cmp.Diff(bills, referrers(t, newORAS(t, s.main+"/demo/app"), app, bill)); diff != "" {
		t.Errorf("referrers of one type (-want +got):\n%s", diff)
	}
	var tags []string
	if err := repo.Tags(t.Context(), "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestORASCopiesAnArtifactWithItsReferrersToAnotherProject(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	from, to := newORAS(t, s.main+"/demo/app"), newORAS(t, s.main+"/other/app")
	app := pushArtifact(t, from, "application/vnd.example.app", "the app", nil)
	if err := from.Tag(t.Context(), app, "1"); err != nil {
		t.Fatal(err)
	}
	itsBill := pushArtifact(t, from, bill, "what is in it", &app)

	copied, err := oras.ExtendedCopy(t.Context(), from, "1", to, "one", oras.DefaultExtendedCopyOptions)
	if err != nil || copied.Digest != app.Digest {
		t.Fatalf("copied %s (%v), want %s", copied.Digest, err, app.Digest)
	}

	want := map[string]string{itsBill.Digest.String(): bill}
	if diff := cmp.Diff(want, referrers(t, newORAS(t, s.main+"/other/app"), app, "")); diff != "" {
		t.Errorf("referrers of the copy (-want +got):\n%s", diff)
	}
}

func TestORASPullsAnArtifactWhole(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	repo := newORAS(t, s.main+"/demo/app")
	app := pushArtifact(t, repo, "application/vnd.example.app", "the app", nil)
	if err := repo.Tag(t.Context(), app, "1"); err != nil {
		t.Fatal(err)
	}
	local := memory.New()

	got, err := oras.Copy(t.Context(), newORAS(t, s.main+"/demo/app"), "1", local, "1", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatal(err)
	}

	parts, err := content.Successors(t.Context(), local, got)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, part := range parts {
		text, err := content.FetchAll(t.Context(), local, part)
		if err != nil {
			t.Fatal(err)
		}
		texts[part.MediaType] = string(text)
	}
	want := map[string]string{"text/plain": "the app", ocispec.MediaTypeEmptyJSON: "{}"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("what came (-want +got):\n%s", diff)
	}
}
