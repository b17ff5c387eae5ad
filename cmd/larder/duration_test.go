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
