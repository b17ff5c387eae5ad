package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/imagetrigger"
)

const ofWeb, ofInit = `spec.template.spec.containers[?(@.name=="web")].image`, `spec.template.spec.initContainers[?(@.name=="init")].image`

func trigger(project, name, path string, paused bool) imagetrigger.Trigger {
	return imagetrigger.Trigger{
		From: imagetrigger.Source{Kind: "ImageStreamTag", Name: name, Namespace: project}, FieldPath: path, Paused: imagetrigger.Paused(paused),
	}
}

func TestFlagsChangeTheTriggersOfAWorkload(t *testing.T) {
	kind, _ := imagetrigger.ParseKind("deploy")
	w, err := imagetrigger.Read(kind, []byte(`{"metadata":{"name":"web","namespace":"demo"},"spec":{"template":{"spec":{
		"containers":[{"name":"web"}],"initContainers":[{"name":"init"}]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	latest, numbered := trigger("demo", "web:latest", ofWeb, false), trigger("demo", "web:1", `spec.template.spec.containers[0].image`, false)
	tests := map[string]struct {
		flags  triggerOptions
		before []imagetrigger.Trigger
		want   []imagetrigger.Trigger
		fails  string
	}{
		"the only container":            {triggerOptions{fromImage: "web:latest"}, nil, []imagetrigger.Trigger{latest}, ""},
		"of a project":                  {triggerOptions{fromImage: "base/web:1"}, nil, []imagetrigger.Trigger{trigger("base", "web:1", ofWeb, false)}, ""},
		"containers by name":            {triggerOptions{fromImage: "web:1", containers: []string{"web", "init"}}, nil, []imagetrigger.Trigger{trigger("demo", "web:1", ofWeb, false), trigger("demo", "web:1", ofInit, false)}, ""},
		"paused from the beginning":     {triggerOptions{fromImage: "web:latest", manual: true}, nil, []imagetrigger.Trigger{trigger("demo", "web:latest", ofWeb, true)}, ""},
		"in place of another":           {triggerOptions{fromImage: "web:latest"}, []imagetrigger.Trigger{numbered}, []imagetrigger.Trigger{latest}, ""},
		"all paused":                    {triggerOptions{manual: true}, []imagetrigger.Trigger{latest}, []imagetrigger.Trigger{trigger("demo", "web:latest", ofWeb, true)}, ""},
		"all go on":                     {triggerOptions{auto: true}, []imagetrigger.Trigger{trigger("demo", "web:latest", ofWeb, true)}, []imagetrigger.Trigger{latest}, ""},
		"one removed":                   {triggerOptions{fromImage: "demo/web:latest", remove: true}, []imagetrigger.Trigger{trigger("", "web:latest", ofWeb, false), trigger("demo", "web:latest", ofInit, false)}, []imagetrigger.Trigger{}, ""},
		"one removed of a container":    {triggerOptions{fromImage: "web:latest", remove: true, containers: []string{"init"}}, []imagetrigger.Trigger{latest, trigger("demo", "web:latest", ofInit, false)}, []imagetrigger.Trigger{latest}, ""},
		"all removed":                   {triggerOptions{removeAll: true}, []imagetrigger.Trigger{latest}, nil, ""},
		"none to pause":                 {triggerOptions{manual: true}, nil, nil, "has no triggers: --from-image adds one"},
		"none to remove":                {triggerOptions{fromImage: "web:2", remove: true}, []imagetrigger.Trigger{latest}, nil, "no trigger that follows demo/web:2"},
		"no tag":                        {triggerOptions{fromImage: "web"}, nil, nil, "write it as in demo/web:latest"},
		"a container that is not there": {triggerOptions{fromImage: "web:1", containers: []string{"app"}}, nil, nil, `has no container "app": it has web and init`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.flags.check(); err != nil {
				t.Fatal(err)
			}
			got, err := tt.flags.changed(w, tt.before)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("triggers (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestFlagsOfTriggersThatContradictAreRefused(t *testing.T) {
	for want, o := range map[string]triggerOptions{
		"are opposites":               {auto: true, manual: true},
		"give nothing beside it":      {removeAll: true, fromImage: "web:1"},
		"--remove takes --from-image": {remove: true},
		"--containers takes":          {containers: []string{"web"}},
	} {
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}
