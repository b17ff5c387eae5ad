package oci_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

func TestCacheStatusReadsAsRFC9211Writes(t *testing.T) {
	late := -5 * time.Second
	for _, test := range []struct {
		status oci.CacheStatus
		want   string
	}{
		{oci.CacheStatus{Hit: true}, "larder; hit"},
		{oci.CacheStatus{Hit: true, TTL: &late, Detail: "stale-if-error"}, "larder; hit; ttl=-5; detail=stale-if-error"},
		{oci.CacheStatus{Forward: "miss", Stored: true}, "larder; fwd=miss; stored"},
		{oci.CacheStatus{Forward: "miss", Collapsed: true}, "larder; fwd=miss; collapsed"},
		{oci.CacheStatus{Forward: "stale", ForwardStatus: 200, Detail: "revalidated"}, "larder; fwd=stale; fwd-status=200; detail=revalidated"},
	} {
		if got := test.status.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAnErrorKeepsItsCodeWhenItIsWrapped(t *testing.T) {
	cause := errors.New("disk on fire")
	err := fmt.Errorf("pulling: %w", &oci.Error{Code: oci.CodeBlobUnknown, Message: "no such blob", Err: cause})
	if oci.CodeOf(err) != oci.CodeBlobUnknown || !errors.Is(err, cause) {
		t.Errorf("code %q, cause found: %t", oci.CodeOf(err), errors.Is(err, cause))
	}
	if oci.CodeOf(cause) != "" {
		t.Errorf("an error of another kind has the code %q", oci.CodeOf(cause))
	}
}
