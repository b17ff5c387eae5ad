package server_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/larder-registry/larder/internal/hubsim"
)

// alertFile is what is read of a file of Prometheus' rules.
type alertFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func TestEveryAlertIsAboutMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/larder-alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file alertFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	measured := measuredAfterTrouble(t)
	named := regexp.MustCompile(`larder_\w+`)
	alerts := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts++
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("alert %s has no severity or no summary", r.Alert)
			}
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("alert %s: %v", r.Alert, err)
				}
			}
			metrics := named.FindAllString(r.Expr, -1)
			if len(metrics) == 0 {
				t.Errorf("alert %s is about no metric of Larder's", r.Alert)
			}
			for _, name := range metrics {
				if !strings.Contains(measured, "\n"+name+"{") && !strings.Contains(measured, "\n"+name+" ") {
					t.Errorf("alert %s is about %s, which is not among the metrics", r.Alert, name)
				}
			}
			for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["summary"], -1) {
				if !hasLabel(measured, metrics, label[1]) {
					t.Errorf("alert %s tells of the label %s, which %v do not have", r.Alert, label[1], metrics)
				}
			}
		}
	}
	if alerts < 5 {
		t.Errorf("there are only %d alerts", alerts)
	}
}

func hasLabel(measured string, metrics []string, label string) bool {
	for _, name := range metrics {
		if regexp.MustCompile(`\n` + name + `\{[^}]*\b` + label + `="`).MatchString(measured) {
			return true
		}
	}
	return false
}

// measuredAfterTrouble is what /metrics shows after pulls, a refused credential, pulls that
// were held back, and a stale copy.
func measuredAfterTrouble(t *testing.T) string {
	t.Helper()
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true, AnonymousLimit: 2}, withCredential(t, "acme", "wrong")+`  reserve: [{project: prod, share: 1%}]
publicURL: https://registry.example.com
kubernetes: {listen: 127.0.0.1:0}
`)
	image := s.hub.AddImage("library/nginx", "0", small(0))
	for i := range 3 {
		s.hub.AddImage("library/nginx", fmt.Sprint(i), small(uint64(i)))
		s.get(fmt.Sprintf("%smanifests/%d", nginx, i))
	}
	s.hub.Break(hubsim.Fault{Kind: hubsim.Status503})
	s.clock.Pass(2 * time.Minute)
	s.get(nginx+"manifests/0").is(t, image.Digest)
	var measured string
	s.eventually("what is left is measured", func() bool {
		measured = string(s.send(request{path: "/metrics", admin: true}).body)
		return strings.Contains(measured, "larder_upstream_pulls_left{")
	})
	return measured
}
