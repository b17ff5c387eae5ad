package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

func TestOneRunAnswersAllWhoAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{})
		defer cache.Close()
		runs, joiners := 0, 0
		var mu sync.Mutex
		var work sync.WaitGroup
		for range 100 {
			work.Go(func() {
				value, joined, err := shared(t.Context(), cache, "key", time.Minute, func(context.Context) (int, error) {
					mu.Lock()
					runs++
					mu.Unlock()
					time.Sleep(time.Second)
					return 7, nil
				})
				mu.Lock()
				defer mu.Unlock()
				if joined {
					joiners++
				}
				if value != 7 || err != nil {
					t.Errorf("an asker got %d, %v", value, err)
				}
			})
		}
		work.Wait()
		if runs != 1 || joiners != 99 {
			t.Errorf("%d runs, %d joined", runs, joiners)
		}
	})
}

func TestTheRunGoesOnWhenTheAskerWhoBeganItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{})
		defer cache.Close()
		run := func(ctx context.Context) (string, error) {
			select {
			case <-time.After(time.Second):
				return "the answer", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() {
			if _, _, err := shared(ctx, cache, "key", time.Minute, run); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		work.Go(func() {
			if got, joined, err := shared(t.Context(), cache, "key", time.Minute, run); got != "the answer" || !joined || err != nil {
				t.Errorf("who stayed got %q, %v", got, err)
			}
		})
		synctest.Wait()
		leave()
		work.Wait()
	})
}

func TestEveryWaiterHearsTheErrorAndTheNextAskerBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{})
		defer cache.Close()
		failure := errors.New("it failed")
		var work sync.WaitGroup
		for range 10 {
			work.Go(func() {
				_, _, err := shared(t.Context(), cache, "key", time.Minute, func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return 0, failure
				})
				if !errors.Is(err, failure) {
					t.Errorf("a waiter got %v", err)
				}
				again, joined, err := shared(t.Context(), cache, "another", time.Minute, func(context.Context) (int, error) { return 1, nil })
				if again != 1 || err != nil {
					t.Errorf("the next asker got %d, %t, %v", again, joined, err)
				}
			})
		}
		work.Wait()
	})
}

func TestARunEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{})
		defer cache.Close()
		began := time.Now()
		_, _, err := shared(t.Context(), cache, "key", time.Minute, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("it ended after %s with %v", took, err)
		}
	})
}

func TestCloseEndsTheRunsAndLetsNoneBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{})
		var work sync.WaitGroup
		work.Go(func() {
			_, _, err := shared(t.Context(), cache, "key", time.Minute, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the asker got %v", err)
			}
		})
		synctest.Wait()
		cache.Close()
		work.Wait()
		_, _, err := shared(t.Context(), cache, "key", time.Minute, func(context.Context) (int, error) { return 1, nil })
		if oci.CodeOf(err) != oci.CodeUnavailable {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestQuestionsAreBoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := New(Config{Title: "Docker Hub"})
		defer cache.Close()
		gone, leave := context.WithCancel(t.Context())
		leave()
		for i := range maxFlights {
			_, _, err := shared(gone, cache, fmt.Sprint(i), time.Minute, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		_, _, err := shared(t.Context(), cache, "one more", time.Minute, func(context.Context) (int, error) { return 1, nil })
		refusal, ok := errors.AsType[*oci.Error](err)
		if !ok || refusal.Code != oci.CodeUnavailable || refusal.RetryAfter == 0 {
			t.Errorf("one more question: %v", err)
		}
	})
}
