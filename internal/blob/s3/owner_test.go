package s3_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

func wantOwner(t *testing.T, what, want string) func(string, error) {
	return func(got string, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s it is %q's, %v; want %q's", what, got, err, want)
		}
	}
}

func TestABucketAndPrefixBelongToWhoClaimsThemFirst(t *testing.T) {
	for _, service := range []service{versitygw, minIO} {
		t.Run(service.Name, func(t *testing.T) {
			c := service.config(t.TempDir())
			a, b := open(t, c), open(t, c)
			wantOwner(t, "before", "")(a.Owner(t.Context()))
			wantOwner(t, "claimed", "a")(a.Claim(t.Context(), "a"))
			wantOwner(t, "claimed again", "a")(a.Claim(t.Context(), "a"))
			wantOwner(t, "claimed by another", "a")(b.Claim(t.Context(), "b"))
			if err := b.TakeOver(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
			wantOwner(t, "taken over", "b")(a.Claim(t.Context(), "a"))

			// It is no blob, and another prefix is another's.
			if err := a.Walk(t.Context(), func(e blob.Entry) error { return errors.New(e.Key) }); err != nil {
				t.Errorf("walking meets a blob: %v", err)
			}
			c.Prefix += "/below"
			wantOwner(t, "below", "c")(open(t, c).Claim(t.Context(), "c"))
		})
	}
}

func TestStorageThatFailsIsNobodysToClaim(t *testing.T) {
	c := config(t.TempDir())
	proxy := throughProxy(t, &c)
	c.Tries = 1
	store := open(t, c)
	for name, fault := range map[string]s3test.Fault{
		"an error": s3test.Answer(500, "InternalError"), "a bucket that is gone": s3test.Answer(404, "NoSuchBucket"), "cut answers": s3test.CutAnswer,
	} {
		if _, err := store.Claim(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		proxy.Fail(func(r *http.Request) s3test.Fault {
			if r.Method == http.MethodPut {
				t.Errorf("with %s it is claimed", name)
			}
			return fault
		})
		if owner, err := store.Claim(t.Context(), "second"); err == nil {
			t.Errorf("with %s it is %q's", name, owner)
		}
		proxy.Fail(nil)
	}
	wantOwner(t, "afterwards", "first")(store.Owner(t.Context()))
}
