package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/imagetrigger"
)

// changed are the triggers after what the flags say.
func (o *triggerOptions) changed(w imagetrigger.Workload, triggers []imagetrigger.Trigger) ([]imagetrigger.Trigger, error) {
	if o.removeAll {
		return nil, nil
	}
	if o.fromImage == "" {
		for i := range triggers {
			triggers[i].Paused = imagetrigger.Paused(o.manual)
		}
		if len(triggers) == 0 {
			return nil, fmt.Errorf("%s has no triggers: --from-image adds one", w)
		}
		return triggers, nil
	}
	source, err := sourceOf(w, o.fromImage)
	if err != nil {
		return nil, err
	}
	if o.remove {
		return o.without(w, triggers, source)
	}
	containers, err := o.chosen(w)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		added := imagetrigger.Follow(w.Kind, source, c.name, c.initial)
		added.Paused = imagetrigger.Paused(o.manual)
		// A container follows one tag.
		triggers = slices.DeleteFunc(triggers, func(t imagetrigger.Trigger) bool { return sameContainer(t, added, w) })
		triggers = append(triggers, added)
	}
	return triggers, nil
}

// sameContainer tells whether two triggers set the same container.
func sameContainer(a, b imagetrigger.Trigger, w imagetrigger.Workload) bool {
	listA, atA, errA := a.Container(w)
	listB, atB, errB := b.Container(w)
	return errA == nil && errB == nil && listA == listB && atA == atB
}

// without are the triggers that do not follow a tag, of the containers that are named.
func (o *triggerOptions) without(w imagetrigger.Workload, triggers []imagetrigger.Trigger, source imagetrigger.Source) ([]imagetrigger.Trigger, error) {
	repository, tag, err := (imagetrigger.Trigger{From: source}).Tag(w.Namespace)
	if err != nil {
		return nil, &usageError{err}
	}
	left := slices.DeleteFunc(slices.Clone(triggers), func(t imagetrigger.Trigger) bool {
		r, is, err := t.Tag(w.Namespace)
		if err != nil || r != repository || is != tag {
			return false
		}
		list, at, err := t.Container(w)
		return len(o.containers) == 0 || err == nil && slices.Contains(o.containers, w.Containers(list)[at].Name)
	})
	if len(left) == len(triggers) {
		return nil, fmt.Errorf("%s has no trigger that follows %s:%s: larder set triggers %s/%s lists those that it has", w, repository, tag, strings.ToLower(w.Kind.Name), w.Name)
	}
	return left, nil
}

// sourceOf reads a tag; without a project it is in the one called like the workload's
// namespace.
func sourceOf(w imagetrigger.Workload, text string) (imagetrigger.Source, error) {
	source := imagetrigger.Source{Kind: "ImageStreamTag", Name: text, Namespace: w.Namespace}
	if project, rest, slash := strings.Cut(text, "/"); slash {
		source.Name, source.Namespace = rest, project
	}
	if _, _, err := (imagetrigger.Trigger{From: source}).Tag(w.Namespace); err != nil {
		return source, usagef("--from-image %q is no tag to follow: write it as in demo/web:latest", text)
	}
	return source, nil
}

// chosenContainer is one that is to follow a tag.
type chosenContainer struct {
	name    string
	initial bool
}

// chosen are the containers that are named, or the one that there is.
func (o *triggerOptions) chosen(w imagetrigger.Workload) (all []chosenContainer, err error) {
	there := map[string]bool{}
	var names []string
	for _, list := range []string{"containers", "initContainers"} {
		for _, c := range w.Containers(list) {
			there[c.Name] = list == "initContainers"
			names = append(names, c.Name)
		}
	}
	wanted := o.containers
	if len(wanted) == 0 {
		if len(w.Containers("containers")) != 1 {
			return nil, usagef("%s has several containers: say with -c which of %s follow the tag", w, enumerate(names))
		}
		wanted = []string{w.Containers("containers")[0].Name}
	}
	for _, name := range wanted {
		initial, is := there[name]
		if !is {
			return nil, usagef("%s has no container %q: it has %s", w, name, enumerate(names))
		}
		all = append(all, chosenContainer{name, initial})
	}
	return all, nil
}
