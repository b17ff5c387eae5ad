package hubapi

import (
	"strings"
	"testing"
)

func TestPathsOfDockerHubsAPI(t *testing.T) {
	for escaped, want := range map[string]path{
		"/v2/search/repositories/":                            {what: aSearch},
		"/v2/search/repositories":                             {what: aSearch},
		"/v2/repositories/demo/":                              {what: aNamespace, namespace: "demo"},
		"/v2/repositories/demo/app/":                          {what: aRepository, namespace: "demo", name: "app"},
		"/v2/repositories/docker-hub/library/nginx":           {what: aRepository, namespace: "docker-hub", name: "library/nginx"},
		"/v2/repositories/demo/app/tags/":                     {what: itsTags, namespace: "demo", name: "app"},
		"/v2/repositories/demo/app/tags/v1/":                  {what: aTag, namespace: "demo", name: "app", tag: "v1"},
		"/v2/repositories/demo/tags/":                         {what: aRepository, namespace: "demo", name: "tags"},
		"/v2/namespaces/demo/repositories":                    {what: aNamespace, namespace: "demo"},
		"/v2/namespaces/demo/repositories/app/tags/v1":        {what: aTag, namespace: "demo", name: "app", tag: "v1"},
		"/v2/namespaces/demo/repositories/team/app/tags/v%31": {what: aTag, namespace: "demo", name: "team/app", tag: "v1"},
	} {
		if got, err := parsePath(escaped); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", escaped, got, err, want)
		}
	}
	for _, escaped := range []string{
		"/v2/search/", "/v2/search/users", "/v2/namespaces/demo", "/v2/namespaces/demo/members", "/v2/repositories/",
		"/v2/repositories/demo%2Fapp/x", "/v2/repositories/demo//app", "/v2/repositories/%zz/app", "/v2/repositories/" + strings.Repeat("a/", 1100) + "b",
	} {
		if got, err := parsePath(escaped); err == nil {
			t.Errorf("%.60s is %+v", escaped, got)
		}
	}
}

func FuzzNoPathIsReadIntoANameWithEmptyParts(f *testing.F) {
	for _, seed := range []string{"/v2/repositories/demo/app/tags/v1", "/v2/namespaces/a/repositories/b", "/v2/search/repositories", "/v2/repositories/%2e%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		got, err := parsePath(escaped)
		if err != nil {
			return
		}
		for _, part := range strings.Split(got.namespace+"/"+got.name+"/"+got.tag, "/") {
			if part == "" && got.what == aTag {
				t.Errorf("%q is read as %+v", escaped, got)
			}
		}
		if got.what != aSearch && (got.namespace == "" || strings.Contains(got.namespace, "/")) {
			t.Errorf("%q has the namespace %q", escaped, got.namespace)
		}
	})
}
