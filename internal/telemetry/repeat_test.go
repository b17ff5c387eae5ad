package telemetry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/telemetry"
)

func TestWorkIsRepeatedAndOfFailuresInARowTheFirstIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := []error{nil, errors.New("first"), errors.New("second"), nil, errors.New("third"), nil, errors.New("at the end")}
		began, done := time.Now(), 0
		var told []string
		telemetry.Repeat(ctx, time.Second, func(context.Context) error {
			done++
			if done == len(outcomes) {
				cancel()
			}
			return outcomes[done-1]
		}, func(err error) { told = append(told, err.Error()) })
		if diff := cmp.Diff([]string{"first", "third"}, told); diff != "" {
			t.Errorf("told was (-want +got):\n%s", diff)
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("seven times took %s", took)
		}
	})
}
