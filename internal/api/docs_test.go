package api

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestThePageOfTheAPIShowsEveryOperationAndLoadsNothing(t *testing.T) {
	f := newFixture(t)
	var description struct {
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(f.do(nobody, "GET", "/api/openapi.json", "").Body.Bytes(), &description); err != nil {
		t.Fatal(err)
	}
	got := f.do(nobody, "GET", "/api/docs", "")
	page := got.Body.String()
	if got.Code != 200 || got.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("it is answered %d, %s", got.Code, got.Header().Get("Content-Type"))
	}
	operations := 0
	for path, methods := range description.Paths {
		for _, op := range methods {
			operations++
			if !strings.Contains(page, `<details id="`+op.OperationID+`">`) {
				t.Errorf("%s of %s is not on the page", op.OperationID, path)
			}
		}
	}
	for name := range description.Components.Schemas {
		if !strings.Contains(page, `<section id="type-`+name+`">`) {
			t.Errorf("type %s is not on the page", name)
		}
	}
	if operations < 50 {
		t.Errorf("only %d operations are described", operations)
	}
	for _, remote := range []string{"<script", "<link", "src=", "http://", "https://"} {
		if strings.Contains(page, remote) {
			t.Errorf("the page holds %s", remote)
		}
	}
	if policy := got.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("its policy is %q", policy)
	}
}
