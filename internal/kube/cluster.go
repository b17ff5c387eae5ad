package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

const (
	// clusterTimeout is what one request of a command may take.
	clusterTimeout = 30 * time.Second
	// maxPage bounds one answer, in bytes.
	maxPage = 64 << 20
	// pageSize is how many objects are asked for at once, and maxPages bounds a list.
	pageSize, maxPages = 500, 1000
)

// Cluster is the one that a command speaks to. Paths are those of the API server, as in
// /api/v1/namespaces/demo/pods, and may have a query; objects are read and written as JSON.
// It is safe for concurrent use.
type Cluster struct {
	// From says where the cluster was found, as in "context prod of
	// /home/alice/.kube/config".
	From string
	// Server is the API server's URL.
	Server string
	// Namespace is that of the context; default where it has none.
	Namespace string

	client rest.Interface
	// next is what whoever lacks a right there can do.
	next string
}

// Open finds the cluster and asks nothing yet. The error says which files and which context
// were tried. The agent is how the API server's log names this program.
func (k Kubeconfig) Open(agent string) (*Cluster, error) {
	found, err := k.find()
	if err != nil {
		return nil, err
	}
	return found.open(agent, "ask for that right, or name another context with --context")
}

// OpenCluster is the cluster that a server works on. It asks nothing yet. The error says
// what is wrong with the kubeconfig or the pod's service account.
func (c Config) OpenCluster() (*Cluster, error) {
	config, err := c.credentials()
	if err != nil {
		return nil, err
	}
	found := place{from: "the service account of this pod", namespace: "default", config: config}
	if c.Kubeconfig != "" {
		found.from = c.Kubeconfig
	}
	return found.open(c.UserAgent, "give it that right: deploy/kubernetes has the roles, and a role binding is needed in each namespace")
}

func (found place) open(agent, next string) (*Cluster, error) {
	config := found.config
	config.UserAgent, config.QPS = agent, -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next, maxPage} })
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"}) // errors are of this version
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", found.from, err)
	}
	return &Cluster{From: found.from, Server: config.Host, Namespace: found.namespace, client: client, next: next}, nil
}

// Get reads one object. The error is ErrNoObject where there is none.
func (c *Cluster) Get(ctx context.Context, path string, into any) error {
	return c.do(ctx, c.client.Get(), path, nil, into)
}

// Create makes an object in the list at path, and reads it as it was made, unless into is
// nil. The error is ErrChanged where one of its name is there already.
func (c *Cluster) Create(ctx context.Context, path string, object, into any) error {
	return c.do(ctx, c.client.Post().SetHeader("Content-Type", "application/json"), path, object, into)
}

// Merge changes the fields of an object that patch has (RFC 7396), and reads it as it is
// then, unless into is nil. The error is ErrNoObject where there is none, and ErrChanged
// where patch names a resourceVersion that is no longer the object's.
func (c *Cluster) Merge(ctx context.Context, path string, patch, into any) error {
	return c.do(ctx, c.client.Patch(types.MergePatchType), path, patch, into)
}

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Patch changes an object by operations, all of them or none. The error is ErrNoObject where
// there is none, and ErrChanged where it is not as an operation "test" says.
func (c *Cluster) Patch(ctx context.Context, path string, operations []Operation) error {
	err := c.do(ctx, c.client.Patch(types.JSONPatchType), path, operations, nil)
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "testing ") {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// Delete removes an object. The error is ErrNoObject where there is none.
func (c *Cluster) Delete(ctx context.Context, path string) error {
	return c.do(ctx, c.client.Delete(), path, nil, nil)
}

// Log reads at most limit bytes of what a container of a pod prints.
func (c *Cluster) Log(ctx context.Context, path string, limit int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	text, err := c.client.Get().RequestURI(path).Stream(ctx)
	if err != nil {
		return "", c.failure("reading", path, err)
	}
	defer func() { _ = text.Close() }()
	read, err := io.ReadAll(io.LimitReader(text, limit))
	if err != nil {
		return "", c.failure("reading", path, err)
	}
	return string(read), nil
}

// List reads a list in pieces and hands over its items one by one.
func (c *Cluster) List(ctx context.Context, path string, each func(item json.RawMessage) error) error {
	address, err := url.Parse(path)
	if err != nil {
		return fmt.Errorf("listing %s: %w", path, err)
	}
	query := address.Query()
	query.Set("limit", strconv.Itoa(pageSize))
	for range maxPages {
		address.RawQuery = query.Encode()
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := c.Get(ctx, address.String(), &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		if page.Metadata.Continue == "" {
			return nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
	return fmt.Errorf("listing %s: there are more than %d objects; name a namespace", address.Path, pageSize*maxPages)
}

func (c *Cluster) do(ctx context.Context, request *rest.Request, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	request = request.RequestURI(path).SetHeader("Accept", "application/json")
	verb := "asking for"
	if body != nil {
		verb = "writing"
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("writing %s down: %w", path, err)
		}
		request = request.Body(text)
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil { // which Raw leaves without the server's own words
		return c.failure(verb, path, err)
	}
	answer, err := result.Raw()
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("reading the answer of %s (%s) to %s: %w; is it the API server of a cluster?", c.Server, c.From, path, err)
	}
	return nil
}

// failure says what was asked of which cluster, and what to do next.
func (c *Cluster) failure(verb, path string, err error) error {
	at := fmt.Sprintf("%s %s of %s (%s)", verb, path, c.Server, c.From)
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w; %s", at, err, c.next)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: %w; log in to the cluster anew, so that the kubeconfig has credentials that it accepts", at, err)
	}
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return fmt.Errorf("%s: %w; try kubectl get --raw /readyz with the same context", at, err)
	}
	return fmt.Errorf("%s: %w", at, kind(err))
}
