package ratelimit

import (
	"testing"
	"time"
)

func TestALimitIsANumberAndAWindow(t *testing.T) {
	for text, want := range map[string]Limit{
		"100/6h":        {100, 6 * time.Hour},
		"1/1s":          {1, time.Second},
		"3000/1m":       {3000, time.Minute},
		"20/1h30m":      {20, 90 * time.Minute},
		"5/90s":         {5, 90 * time.Second},
		"7/744h":        {7, MaxWindow},
		"1000000000/6h": {1_000_000_000, 6 * time.Hour},
	} {
		if got, err := ParseLimit(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "100", "100/", "/6h", "0/6h", "-1/6h", "1000000001/6h", "1e3/6h", "100/6", "100/0s", "100/500ms",
		"100/1500ms", "100/-1h", "100/745h", "100 / 6h", "100/6h/1", "99999999999999999999/6h",
	} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestALimitIsWrittenAsItIsRead(t *testing.T) {
	for _, text := range []string{"100/6h", "3/10s", "20/1h30m", "5/1m30s", "1/1h0m1s", "1/30m", "1/24h"} {
		l, err := ParseLimit(text)
		if err != nil || l.String() != text {
			t.Errorf("%s is written %s, %v", text, l, err)
		}
	}
	if got := (Limit{}).String(); got != "unlimited" {
		t.Errorf("no limit is written %s", got)
	}
}

func TestTheHigherOfTwoLimitsAllowsMoreInTheLongRun(t *testing.T) {
	limit := func(text string) Limit {
		l, err := ParseLimit(text)
		if err != nil && text != "unlimited" {
			t.Fatal(err)
		}
		return l
	}
	for _, tt := range []struct{ higher, lower string }{
		{"200/6h", "100/6h"},
		{"100/1h", "200/6h"},
		{"unlimited", "1000000/1s"},
		{"600/6h", "100/1h"}, // as much, and more of it at once
	} {
		if a, b := limit(tt.higher), limit(tt.lower); !a.Above(b) || b.Above(a) {
			t.Errorf("%s is not above %s", tt.higher, tt.lower)
		}
	}
	for _, same := range []string{"100/6h", "unlimited"} {
		if limit(same).Above(limit(same)) {
			t.Errorf("%s is above itself", same)
		}
	}
}
