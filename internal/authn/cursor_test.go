package authn

import (
	"strings"
	"testing"
)

func TestAPlaceInAListIsHiddenFromWhomItIsGivenTo(t *testing.T) {
	a, store, c := newTest(t)
	sealed, err := a.SealCursor(t.Context(), "secret/app")
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.SealCursor(t.Context(), "secret/app")
	if err != nil || strings.Contains(sealed, "secret") || sealed == again {
		t.Errorf("it is %s, and then %s, %v", sealed, again, err)
	}
	if got, err := newServer(t, store, c).OpenCursor(t.Context(), sealed); got != "secret/app" || err != nil {
		t.Errorf("another replica reads %q, %v", got, err)
	}
	if got, err := a.OpenCursor(t.Context(), "demo/app"); got != "demo/app" || err != nil {
		t.Errorf("a plain name is %q, %v", got, err)
	}
	for name, cursor := range map[string]string{
		"one that is changed":   spoiled(sealed),
		"one that is cut":       sealed[:len(sealed)-4],
		"one of another key":    "~x" + sealed[1:],
		"one without a name":    "~" + sealed[1:strings.Index(sealed, ".")],
		"one that is no base64": sealed[:strings.Index(sealed, ".")] + ".!",
		"one that is too long":  sealed + strings.Repeat("A", 2000),
		"a mark alone":          "~",
	} {
		if got, err := a.OpenCursor(t.Context(), cursor); got != "" {
			t.Errorf("%s is %q", name, got)
		} else {
			wantError(t, err, ErrCursor)
		}
	}
	started := newServer(t, store, c)
	store.fault = errStore
	_, err = started.OpenCursor(t.Context(), sealed)
	wantError(t, err, errStore)
}
