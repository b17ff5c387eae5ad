package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestTheOverallLimitRefusesEveryKindOfRequestInPlainWords(t *testing.T) {
	s := newStack(t, hubsim.Options{}, behindProxy+"pullLimits: {overall: 10/1m}\n")
	const one = "192.0.2.1"
	paths := []string{"/", "/v2/", "/token", "/api/openapi.json", "/limits", preview, "/nowhere"}
	for i := range 10 {
		if got := s.from(one, paths[i%len(paths)]); got.status == 429 {
			t.Fatalf("request %d is refused", i+1)
		}
	}
	for _, path := range paths {
		for _, mirror := range []bool{false, true} {
			got := s.send(request{path: path, mirror: mirror, header: map[string]string{"X-Forwarded-For": one}})
			if got.status != 429 || string(got.body) != "Too Many Requests\n" || got.header.Get("Retry-After") != "6" ||
				got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s, mirror %v: %d %q %v", path, mirror, got.status, got.body, got.header)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		// A busy machine may not be ready within the second that the check has.
		if got := s.from(one, path); got.status == 429 {
			t.Errorf("%s is refused", path)
		}
	}
	if got := s.from("192.0.2.2", "/v2/"); got.status != 401 {
		t.Errorf("another address is answered %d", got.status)
	}
	if lines := s.raw("GET", "/v2/", "X-Forwarded-For: "+one); !lines["HTTP/1.1 429 Too Many Requests"] || !lines["Connection: close"] {
		t.Errorf("the connection is kept: %v", lines)
	}
	s.clock.Pass(6 * time.Second)
	if got := s.from(one, "/limits"); got.status != 200 {
		t.Errorf("after the time of Retry-After it answers %d", got.status)
	}
	if got := s.from(one, "/limits"); got.status != 429 {
		t.Errorf("the next one is answered %d", got.status)
	}
	if got := strings.Count(s.log.String(), "more requests than pullLimits.overall allows"); got != 1 {
		t.Errorf("the log tells of it %d times", got)
	}
	s.restart() // it is about the moment, and is not kept
	if got := s.from(one, "/limits"); got.status != 200 {
		t.Errorf("after a restart it answers %d", got.status)
	}
}

func TestTheOverallLimitComesWithAReload(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "log: {level: info}\n")
	for range 10 {
		s.get("/limits")
	}
	s.file = "pullLimits: {overall: 5/1m}\n"
	s.reload()
	for i := range 6 {
		if got := s.get("/limits"); (got.status == 429) != (i == 5) {
			t.Errorf("request %d is answered %d", i+1, got.status)
		}
	}
	s.file = ""
	s.reload()
	if got := s.get("/limits"); got.status != 200 {
		t.Errorf("without a limit it answers %d", got.status)
	}
}
