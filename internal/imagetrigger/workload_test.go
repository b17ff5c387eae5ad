package imagetrigger

import (
	"encoding/json"
	"testing"
)

func TestPodsOfAWorkloadAreAnnotatedWhereItsTemplateIs(t *testing.T) {
	for kind, tt := range map[string]struct{ object, want, undone string }{
		"deploy": {
			`{"spec":{"template":{"metadata":{"annotations":{"a":"1"}}}}}`,
			`{"spec":{"template":{"metadata":{"annotations":{"a":"2"}}}}}`,
			`{"spec":{"template":{"metadata":{"annotations":{"a":null}}}}}`,
		},
		"cronjob": {
			`{"spec":{"jobTemplate":{"spec":{"template":{"metadata":{"annotations":{"a":"1"}}}}}}}`,
			`{"spec":{"jobTemplate":{"spec":{"template":{"metadata":{"annotations":{"a":"2"}}}}}}}`,
			`{"spec":{"jobTemplate":{"spec":{"template":{"metadata":{"annotations":{"a":null}}}}}}}`,
		},
	} {
		parsed, _ := ParseKind(kind)
		w, err := Read(parsed, []byte(tt.object))
		if err != nil {
			t.Fatal(err)
		}
		if w.PodAnnotations["a"] != "1" {
			t.Errorf("%s: its pods have %v", kind, w.PodAnnotations)
		}
		for want, value := range map[string]any{tt.want: "2", tt.undone: nil} {
			got, err := json.Marshal(w.Annotate("a", value))
			if err != nil || string(got) != want {
				t.Errorf("%s: the patch is %s, want %s (%v)", kind, got, want, err)
			}
		}
	}
}
