package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/warm"
)

// pulled are so many images that were pulled.
type pulled int

func (n pulled) PulledSince(_ context.Context, _ time.Time, limit int) (all []metadata.PulledImage, _ error) {
	for i := range min(int(n), limit) {
		all = append(all, metadata.PulledImage{Repository: "docker-hub/library/nginx", Tag: fmt.Sprint(i)})
	}
	return all, nil
}

func TestADrillLooksAtTenThousandImagesAndSaysSoWhenThereAreMore(t *testing.T) {
	const left = `"left":true,"error":"there are more images than the 10000 that were looked at, which is as many as one drill takes: ask for those that were pulled in a shorter time, or name them, of which there may be any number"`
	for _, test := range []struct {
		pulled, looked int
		last           string
	}{
		{10_000, 10_000, `{"done":true}`},
		{10_001, 10_000, `{"done":true,` + left + `}`},
	} {
		f := newFixture(t)
		f.config.Pulled = pulled(test.pulled)
		f.config.Warmer = &warm.Warmer{Find: func(context.Context, string) (warm.Target, error) {
			return warm.Target{}, &oci.Error{Code: oci.CodeNameUnknown, Message: "there is none"}
		}}
		f.handler = New(f.config)
		w := f.do(admin, "POST", "/api/v1/drill", `{"since":"2026-05-04T11:00:00Z"}`)
		f.want(w, 200, nil)
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		looked := strings.Count(w.Body.String(), `"image":`)
		if looked != test.looked || lines[len(lines)-1] != test.last {
			t.Errorf("of %d images %d were looked at, and the last line is %s, want %s", test.pulled, looked, lines[len(lines)-1], test.last)
		}
	}
}
