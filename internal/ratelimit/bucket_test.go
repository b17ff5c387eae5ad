package ratelimit

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestABucketGivesItsBurstAndThenOneAfterAnother(t *testing.T) {
	b := Bucket{Burst: 3, Every: time.Minute}
	var full time.Time
	var wait time.Duration
	for i := range 3 {
		if full, wait = b.Take(full, noon); wait != 0 {
			t.Fatalf("number %d waits %s", i+1, wait)
		}
	}
	full, wait = b.Take(full, noon)
	if wait != time.Minute {
		t.Errorf("the fourth waits %s, want a minute", wait)
	}
	if _, wait = b.Take(full, noon.Add(time.Minute-1)); wait != 1 {
		t.Errorf("a nanosecond early, it waits %s", wait)
	}
	if full, wait = b.Take(full, noon.Add(time.Minute)); wait != 0 {
		t.Errorf("a minute later, it waits %s", wait)
	}
	if _, wait = b.Take(full, noon.Add(time.Minute)); wait != time.Minute {
		t.Errorf("the one after it waits %s, want a minute", wait)
	}
}

func TestABucketThatWasLeftAloneIsFull(t *testing.T) {
	b := Bucket{Burst: 2, Every: time.Minute}
	full, _ := b.Take(time.Time{}, noon)
	for range 2 {
		var wait time.Duration
		if full, wait = b.Take(full, noon.Add(time.Hour)); wait != 0 {
			t.Errorf("it waits %s", wait)
		}
	}
}

func TestAClockThatIsSetBackEmptiesABucketAndNoMore(t *testing.T) {
	b := Bucket{Burst: 3, Every: time.Minute}
	full, _ := b.Take(time.Time{}, noon.Add(240*time.Hour))
	if _, wait := b.Take(full, noon); wait != time.Minute {
		t.Errorf("it waits %s, want a minute", wait)
	}
}

func TestWhatIsReturnedCanBeTakenAgain(t *testing.T) {
	b := Bucket{Burst: 1, Every: time.Minute}
	full, _ := b.Take(time.Time{}, noon)
	if _, wait := b.Take(b.Return(full), noon); wait != 0 {
		t.Errorf("it waits %s", wait)
	}
}
