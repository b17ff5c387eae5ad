package imagetrigger

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Kind is a kind of workloads whose templates have images.
type Kind struct {
	// Name is as manifests have it.
	Name string
	// Resource is as paths and kubectl have it, such as deployments.
	Resource string
	group    string // of the API, with its version
	template string // where the pod's spec is
}

const podTemplate = "spec.template.spec"

// ofTemplate is a merge patch that changes the metadata of a workload's pods.
func (k Kind) ofTemplate(metadata map[string]any) map[string]any {
	patch := map[string]any{"metadata": metadata}
	path := strings.Split(k.template, ".")
	for _, name := range slices.Backward(path[:len(path)-1]) {
		patch = map[string]any{name: patch}
	}
	return patch
}

// Kinds are those that can follow tags.
func Kinds() []Kind {
	return []Kind{
		{"Deployment", "deployments", "apps/v1", podTemplate},
		{"StatefulSet", "statefulsets", "apps/v1", podTemplate},
		{"DaemonSet", "daemonsets", "apps/v1", podTemplate},
		{"CronJob", "cronjobs", "batch/v1", "spec.jobTemplate." + podTemplate},
	}
}

// List is the path of all workloads of a kind.
func (k Kind) List() string { return "/apis/" + k.group + "/" + k.Resource }

// In is the path of those of a namespace, or of the one of a name.
func (k Kind) In(namespace, name string) string {
	path := "/apis/" + k.group + "/namespaces/" + url.PathEscape(namespace) + "/" + k.Resource
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// ParseKind reads a kind as kubectl takes it: deploy, deployment, deployments,
// deployments.apps, and the like.
func ParseKind(text string) (Kind, bool) {
	short := map[string]string{"deploy": "deployments", "sts": "statefulsets", "ds": "daemonsets", "cj": "cronjobs"}
	name, group, grouped := strings.Cut(strings.ToLower(text), ".")
	for _, k := range Kinds() {
		own, _, _ := strings.Cut(k.group, "/")
		if grouped && own != group {
			continue
		}
		if name == k.Resource || name+"s" == k.Resource || short[name] == k.Resource {
			return k, true
		}
	}
	return Kind{}, false
}

// Workload is one of a cluster, as far as triggers go.
type Workload struct {
	Kind                     Kind
	Namespace, Name, Version string
	Annotations              map[string]string
	// PodAnnotations are those of its pods.
	PodAnnotations map[string]string
	// Account is the service account of its pods.
	Account             string
	containers, initial []Container
}

// Container is one of a workload's template.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// Containers are those of one of the lists containers and initContainers.
func (w Workload) Containers(list string) []Container {
	if list == "initContainers" {
		return w.initial
	}
	return w.containers
}

// Annotate is a merge patch that gives its pods an annotation; nil takes it away.
func (w Workload) Annotate(key string, value any) map[string]any {
	return w.Kind.ofTemplate(map[string]any{"annotations": map[string]any{key: value}})
}

// Path is where the cluster has it.
func (w Workload) Path() string { return w.Kind.In(w.Namespace, w.Name) }

func (w Workload) String() string {
	return strings.ToLower(w.Kind.Name) + " " + w.Namespace + "/" + w.Name
}

// podSpec is what matters of one.
type podSpec struct {
	ServiceAccountName string      `json:"serviceAccountName"`
	Containers         []Container `json:"containers"`
	InitContainers     []Container `json:"initContainers"`
}

// template is where most kinds have the spec of their pods.
type template struct {
	Template struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec podSpec `json:"spec"`
	} `json:"template"`
}

// Read reads an object of a kind.
func Read(kind Kind, object []byte) (Workload, error) {
	var read struct {
		Metadata struct {
			Name            string            `json:"name"`
			Namespace       string            `json:"namespace"`
			ResourceVersion string            `json:"resourceVersion"`
			Annotations     map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			template
			JobTemplate struct {
				Spec template `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(object, &read); err != nil {
		return Workload{}, fmt.Errorf("reading a %s: %w", kind.Name, err)
	}
	pods := read.Spec.Template
	if kind.template != podTemplate {
		pods = read.Spec.JobTemplate.Spec.Template
	}
	m, spec := read.Metadata, pods.Spec
	w := Workload{
		Kind: kind, Namespace: m.Namespace, Name: m.Name, Version: m.ResourceVersion, Annotations: m.Annotations,
		PodAnnotations: pods.Metadata.Annotations, Account: spec.ServiceAccountName, containers: spec.Containers, initial: spec.InitContainers,
	}
	if w.Account == "" {
		w.Account = "default"
	}
	return w, nil
}
