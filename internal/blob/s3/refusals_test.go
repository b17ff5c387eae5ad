package s3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
)

func TestAStateThatLeadsElsewhereIsRefused(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	key := put(t, store, []byte("precious"))
	name := strings.Repeat("A", 26)
	for _, state := range []string{
		`{"algorithm":"sha256","tail":"../blobs/` + key + `"}`,
		`{"algorithm":"sha256","tail":""}`,
		`{"algorithm":"sha256","tail":"` + name + `","stale":["../blobs/` + key + `"]}`,
		`{"algorithm":"sha256","tail":"` + name + `","offset":-1}`,
		`{"algorithm":"sha256","tail":"` + name + `","partBytes":1,"offset":1}`,
		`{"algorithm":"sha256","tail":"` + name + `","key":"../x","uploadID":"x","parts":["x"],"partBytes":1,"offset":1}`,
		`{"algorithm":"md5","tail":"` + name + `"}`,
	} {
		if _, err := store.Resume(t.Context(), []byte(state)); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Resume of %s: error is %v, want one that refuses the state", state, err)
		}
	}
	wantBlob(t, store, key, []byte("precious"))
}

func TestAKeyThatIsNoneOfTheStoresIsRefused(t *testing.T) {
	store := open(t, config(t.TempDir()))
	for _, key := range []string{"", ".", "../uploads/" + strings.Repeat("A", 26), strings.Repeat("a", 26), strings.Repeat("A", 27)} {
		_, stat := store.Stat(t.Context(), key)
		_, opened := store.Open(t.Context(), key)
		for what, err := range map[string]error{"Stat": stat, "Open": opened, "Delete": store.Delete(t.Context(), key)} {
			if err == nil || errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s of %q: error is %v, want one that refuses the key", what, key, err)
			}
		}
	}
}

func TestABucketThatIsNotThereIsNamed(t *testing.T) {
	c := config(t.TempDir())
	c.Bucket = "somewhere-else"
	if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there is no bucket somewhere-else") {
		t.Errorf("error is %v, want one that names the bucket", err)
	}
}

func TestWrongKeysAreAnErrorThatDoesNotShowThem(t *testing.T) {
	c := config(t.TempDir())
	c.SecretKey = "wrong-and-secret"
	_, err := s3.Open(t.Context(), c)
	if err == nil || strings.Contains(err.Error(), c.SecretKey) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v, want one without the key", err)
	}
}

func TestAMissingBucketIsNotTakenForAMissingBlob(t *testing.T) {
	c := config(t.TempDir())
	c.Bucket = "soon-removed"
	if err := versitygw.Client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	store := open(t, c)
	key := put(t, store, []byte("precious"))
	state := save(t, upload(t, store, []byte("begun")))
	removeBucket(t, c.Bucket)
	_, stat := store.Stat(t.Context(), key)
	_, opened := store.Open(t.Context(), key)
	_, resumed := store.Resume(t.Context(), state)
	walked := store.Walk(t.Context(), func(blob.Entry) error { return nil })
	for what, err := range map[string]error{"Stat": stat, "Open": opened, "Resume": resumed, "Walk": walked} {
		if err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: error is %v, want one about the bucket", what, err)
		}
	}
}

func removeBucket(t *testing.T, name string) {
	t.Helper()
	for object := range versitygw.Client.ListObjects(t.Context(), name, minio.ListObjectsOptions{Recursive: true}) {
		if err := versitygw.Client.RemoveObject(t.Context(), name, object.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := versitygw.Client.RemoveBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}
