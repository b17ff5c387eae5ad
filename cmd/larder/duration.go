package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// duration is the value of a flag that says how long something is good for: Go's form,
// as in 720h, or days, as in 30d.
type duration time.Duration

// String is "" where nothing is said, so that help names no default.
func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (*duration) Type() string { return "duration" }

// Set refuses what is no duration, and what is none above a second.
func (d *duration) Set(s string) error {
	given, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > 100_000 {
			err = strconv.ErrRange
		}
		given = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || given < time.Second {
		return errors.New("it is a duration such as 720h or 30d")
	}
	*d = duration(given)
	return nil
}

func (d *duration) seconds() int64 { return int64(time.Duration(*d) / time.Second) }

// ago is the value of a flag that says how long ago something may be: a duration, or 0 for
// any time.
type ago struct{ duration }

// Set refuses what is no duration.
func (a *ago) Set(s string) error {
	if given, err := time.ParseDuration(s); err == nil && given == 0 {
		a.duration = 0
		return nil
	}
	return a.duration.Set(s)
}
