package main

import (
	"testing"
	"time"
)

func TestADurationIsHoursOrDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"720h": 720 * time.Hour, "90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute} {
		var d duration
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("Set(%q) = %s, %v; want %s", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "d", "0d", "-1d", "1.5d", "soon", "0s", "999999999d"} {
		var d duration
		if err := d.Set(text); err == nil {
			t.Errorf("Set(%q) = %s, want an error", text, time.Duration(d))
		}
	}
}

func TestHowLongAgoMayBeAnyTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "7d": 7 * 24 * time.Hour} {
		given := ago{duration(time.Hour)}
		if err := given.Set(text); err != nil || time.Duration(given.duration) != want {
			t.Errorf("Set(%q) = %s, %v; want %s", text, time.Duration(given.duration), err, want)
		}
	}
	if err := new(ago).Set("soon"); err == nil {
		t.Error("soon is taken for a duration")
	}
}
