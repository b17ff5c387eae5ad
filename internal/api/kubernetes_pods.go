package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/rewriting"
)

// Seen is what a server knows of the pods of a cluster.
type Seen struct {
	// Pods are those that have not ended, by namespace and name; nil where the server does
	// not look for them.
	Pods func(ctx context.Context) ([]rewriting.Pod, error)
	// Reviews are what became of the new pods that its webhook has reviewed since a time.
	Reviews func() (by map[string]rewriting.Reviewed, other rewriting.Reviewed)
	Since   time.Time
}

// notLooked is answered where no pods can be told of.
const notLooked = "this server does not look which pods run: set kubernetes.pinRunning in its configuration, as 168h, and give it the right to list pods"

// ClusterNamespace tells how the pods of a namespace get their images.
type ClusterNamespace struct {
	Name       string         `json:"name"`
	Pods       int            `json:"pods" doc:"Those that have not ended; each counts below wherever one of its images does"`
	Rewritten  int            `json:"rewritten" doc:"With an image of another registry that is pulled by this one's name"`
	Hosted     int            `json:"hosted" doc:"With an image that is this registry's own"`
	OptedOut   map[string]int `json:"optedOut" doc:"With an image that could be rewritten, but for a reason is not: annotation, label (of the namespace), namespace (its name), owner (its controller compares images), pull_secrets, static"`
	ByNode     int            `json:"byNode" doc:"With an image that could be rewritten and is not: its node pulls it through a mirror, or from its registry"`
	Elsewhere  int            `json:"elsewhere" doc:"With an image of a registry that is not mirrored"`
	Mirrored   int            `json:"mirrored" doc:"With an image that nodes were seen pulling through their mirrors"`
	MirroredAt *time.Time     `json:"mirroredAt,omitempty" doc:"When they did so last"`
	Reviewed   *ReviewedPods  `json:"reviewed,omitempty" doc:"By this server's webhook; absent where there were none"`
}

// ReviewedPods is what became of new pods.
type ReviewedPods struct {
	Rewritten int64            `json:"rewritten"`
	Left      map[string]int64 `json:"left" doc:"Those that kept their images, by reason; not_cached: they have none that is cached"`
	At        time.Time        `json:"at" doc:"When the last one was made"`
}

// ClusterNamespaceList is all namespaces of a cluster that have pods, or had.
type ClusterNamespaceList struct {
	Looked bool               `json:"looked" doc:"Whether the server looks which pods run; else only reviewed is told"`
	Since  time.Time          `json:"since" doc:"Since when reviews and pulls through mirrors of nodes are counted, by this one server"`
	Items  []ClusterNamespace `json:"items"`
	Other  *ReviewedPods      `json:"other,omitempty" doc:"Reviews of namespaces beyond the first 10,000"`
}

// ClusterPod is a pod that runs images of this registry.
type ClusterPod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	OptedOut  string            `json:"optedOut,omitempty" doc:"Why its images are not rewritten"`
	Images    []ClusterPodImage `json:"images"`
}

// ClusterPodImage is an image of a pod, by its name there and by its name here.
type ClusterPodImage struct {
	Image      string     `json:"image" doc:"As the pod has it"`
	From       string     `json:"from" enum:"rewritten,hosted,opted-out,by-node,elsewhere"`
	Project    string     `json:"project"`
	Repository string     `json:"repository" doc:"Without the project"`
	Tag        string     `json:"tag,omitempty"`
	Digest     string     `json:"digest,omitempty" doc:"Of what runs; absent while that is not known"`
	Pinned     bool       `json:"pinned" doc:"It is here, and nothing removes it while it runs"`
	MirroredAt *time.Time `json:"mirroredAt,omitempty" doc:"When a node was seen pulling it through its mirror last"`
}

// ClusterPodList is a page of pods, by namespace and name.
type ClusterPodList struct {
	Items []ClusterPod `json:"items"`
	Next  string       `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last one"`
}

type clusterNamespacesOutput struct{ Body ClusterNamespaceList }

type clusterPodsInput struct {
	Credentials
	Namespace  string `query:"namespace" maxLength:"63" doc:"Only those of one namespace"`
	Repository string `query:"repository" maxLength:"255" doc:"Only those with an image of one repository, as docker-hub/library/nginx"`
	After      string `query:"after" maxLength:"400" doc:"The next of the page before"`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"500"`
}

type clusterPodsOutput struct{ Body ClusterPodList }

func (s *service) registerClusterPods(api huma.API) {
	const whose = "For those who may get upstreams/ledger."
	register(s, api, huma.Operation{
		OperationID: "list-kubernetes-namespaces", Method: http.MethodGet, Path: "/api/v1/kubernetes/namespaces", Tags: []string{"server"},
		Summary: "Tell by namespace how pods get their images", Description: whose, Errors: []int{http.StatusForbidden, http.StatusServiceUnavailable},
	}, s.listClusterNamespaces)
	register(s, api, huma.Operation{
		OperationID: "list-kubernetes-pods", Method: http.MethodGet, Path: "/api/v1/kubernetes/pods", Tags: []string{"server"},
		Summary: "List the pods that run images of this registry", Description: whose, Errors: []int{http.StatusForbidden, http.StatusConflict, http.StatusServiceUnavailable},
	}, s.listClusterPods)
}

func (s *service) listClusterNamespaces(ctx context.Context, who caller, _ *Credentials) (*clusterNamespacesOutput, error) {
	if err := s.permit(ctx, who, authz.GetLedger, authz.Target{}); err != nil {
		return nil, err
	}
	out := &clusterNamespacesOutput{Body: ClusterNamespaceList{Looked: s.Seen.Pods != nil, Since: s.Seen.Since.UTC().Truncate(time.Second)}}
	all := map[string]*ClusterNamespace{}
	if s.Seen.Pods != nil {
		pods, err := s.clusterPods(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range rewriting.Namespaces(pods) {
			all[n.Name] = clusterNamespace(n)
		}
	}
	reviews, other := s.Seen.Reviews()
	for name, of := range reviews {
		if all[name] == nil {
			all[name] = clusterNamespace(rewriting.Namespace{Name: name})
		}
		all[name].Reviewed = reviewedPods(of)
	}
	out.Body.Other = reviewedPods(other)
	out.Body.Items = make([]ClusterNamespace, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out.Body.Items = append(out.Body.Items, *all[name])
	}
	return out, nil
}

// clusterPods says what is wrong to those who may know: they are the operators.
func (s *service) clusterPods(ctx context.Context) ([]rewriting.Pod, error) {
	pods, err := s.Seen.Pods(ctx)
	if err != nil {
		return nil, problem(http.StatusServiceUnavailable, err.Error())
	}
	return pods, nil
}

func clusterNamespace(n rewriting.Namespace) *ClusterNamespace {
	out := map[string]int{}
	for why, pods := range n.OptedOut {
		out[string(why)] = pods
	}
	return &ClusterNamespace{
		Name: n.Name, Pods: n.Pods, Rewritten: n.Rewritten, Hosted: n.Hosted, OptedOut: out, ByNode: n.ByNode, Elsewhere: n.Elsewhere,
		Mirrored: n.Mirrored, MirroredAt: known(n.MirroredAt),
	}
}

// reviewedPods is nil where there were no reviews.
func reviewedPods(of rewriting.Reviewed) *ReviewedPods {
	if len(of.Outcomes) == 0 {
		return nil
	}
	left := maps.Clone(of.Outcomes)
	delete(left, rewriting.OutcomeRewritten)
	return &ReviewedPods{Rewritten: of.Outcomes[rewriting.OutcomeRewritten], Left: left, At: of.At.UTC().Truncate(time.Second)}
}

func (s *service) listClusterPods(ctx context.Context, who caller, in *clusterPodsInput) (*clusterPodsOutput, error) {
	if err := s.permit(ctx, who, authz.GetLedger, authz.Target{}); err != nil {
		return nil, err
	}
	if s.Seen.Pods == nil {
		return nil, problem(http.StatusConflict, notLooked)
	}
	pods, err := s.clusterPods(ctx)
	if err != nil {
		return nil, err
	}
	repository := in.Repository
	if project, rest, ok := strings.Cut(repository, "/"); ok {
		meant := s.pulledAs(ctx, RepositoryPath{Project: project, Repository: rest})
		repository = meant.Project + "/" + meant.Repository
	}
	pinned, err := s.pinned(ctx)
	if err != nil {
		return nil, err
	}
	var out clusterPodsOutput
	out.Body.Items = []ClusterPod{}
	for _, p := range pods {
		if in.Namespace != "" && p.Namespace != in.Namespace || podPage(p.Namespace, p.Name) <= in.After {
			continue
		}
		if shown := clusterPod(p, repository, pinned); len(shown.Images) > 0 {
			out.Body.Items = append(out.Body.Items, shown)
		}
		if len(out.Body.Items) > in.Limit {
			break
		}
	}
	out.Body.Items, out.Body.Next = paged(out.Body.Items, in.Limit, func(p ClusterPod) string { return podPage(p.Namespace, p.Name) })
	return &out, nil
}

// podPage is where in the list a pod stands: as pods are ordered, since a blank comes before
// whatever names have.
func podPage(namespace, name string) string { return namespace + " " + name }

// pinned are the names of all images that are pinned, by tag and by digest.
func (s *service) pinned(ctx context.Context) (map[string]bool, error) {
	pins, err := s.Pins.List(ctx, maxPinsListed)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, p := range pins {
		all[image(p)] = true
	}
	return all, nil
}

// clusterPod shows those images of a pod that are here, or that are of one repository.
func clusterPod(p rewriting.Pod, repository string, pinned map[string]bool) ClusterPod {
	shown := ClusterPod{Namespace: p.Namespace, Name: p.Name, OptedOut: string(p.OptedOut)}
	for _, i := range p.Images {
		if i.Repository == "" || repository != "" && i.Repository != repository {
			continue
		}
		project, rest, _ := strings.Cut(i.Repository, "/")
		byDigest, byTag := metadata.Pin{Repository: i.Repository, Digest: i.Digest}, metadata.Pin{Repository: i.Repository, Tag: i.Tag}
		shown.Images = append(shown.Images, ClusterPodImage{
			Image: i.Name, From: string(i.From), Project: project, Repository: rest, Tag: i.Tag, Digest: i.Digest.String(),
			Pinned: i.Digest != "" && pinned[image(byDigest)] || i.Tag != "" && pinned[image(byTag)], MirroredAt: known(i.MirroredAt),
		})
	}
	return shown
}
