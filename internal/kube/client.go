// Package kube asks a Kubernetes API server whose a token is (TokenReview) and what its
// bearer may do (SubjectAccessReview). It remembers what it was told for a few seconds,
// and for some minutes while the API server does not answer.
package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

const (
	// defaultTimeout is what one review may take.
	defaultTimeout = 5 * time.Second
	// reviewsAtOnce bounds what the API server is asked at the same time.
	reviewsAtOnce = 64
)

// Config says which cluster is asked, and how.
type Config struct {
	// Kubeconfig is the file that says where the API server is and as whom to ask;
	// empty: the pod's service account says it.
	Kubeconfig string
	// PodFolder is where that service account is; empty: where Kubernetes puts it.
	PodFolder string
	// Audiences are those that a token may be meant for; one of them is enough. Empty:
	// those of the API server itself.
	Audiences []string
	// UserAgent is how the API server's log names this program.
	UserAgent string
	// Timeout is what one review may take; zero means 5 seconds.
	Timeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears when the API server stops answering, and when it answers again; nil
	// means slog.Default.
	Log *slog.Logger
}

// Client asks one cluster. It is safe for concurrent use.
type Client struct {
	audiences      []string
	timeout        time.Duration
	turns          chan struct{}
	authentication rest.Interface
	authorization  rest.Interface
	owners         *memory[User]
	decisions      *memory[bool]
}

// New makes a client and asks nothing yet. The error says what is wrong with the
// kubeconfig or the pod's service account.
func New(c Config) (*Client, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	k := &Client{audiences: c.Audiences, timeout: c.Timeout, turns: make(chan struct{}, reviewsAtOnce)}
	var err error
	if k.owners, err = newMemory[User](c.Now, c.Log.With("asked", tokenReviews)); err != nil {
		return nil, err
	}
	if k.decisions, err = newMemory[bool](c.Now, c.Log.With("asked", accessReviews)); err != nil {
		return nil, err
	}
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	return k, k.connect(config)
}

// connect makes the clients of the two API groups over the same connections. They know
// the reviews alone: client-go's own typed clients know every object of Kubernetes, which
// makes the program larger by half.
func (k *Client) connect(config *rest.Config) error {
	connections, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"}) // errors are of this version
	config.APIPath, config.NegotiatedSerializer = "/apis", serializer.NewCodecFactory(known).WithoutConversion()
	for _, group := range []struct {
		to      *rest.Interface
		version schema.GroupVersion
		learn   func(*runtime.Scheme) error
	}{
		{&k.authentication, authentication.SchemeGroupVersion, authentication.AddToScheme},
		{&k.authorization, authorization.SchemeGroupVersion, authorization.AddToScheme},
	} {
		if err := group.learn(known); err != nil {
			return fmt.Errorf("preparing the client of %s: %w", group.version, err)
		}
		own := rest.CopyConfig(config)
		own.GroupVersion = &group.version
		if *group.to, err = rest.RESTClientForConfigAndClient(own, connections); err != nil {
			return fmt.Errorf("preparing the client of %s: %w", group.version, err)
		}
	}
	return nil
}

// review sends one review and reads the answer. It goes on when its first asker has gone,
// since others may wait for the same. The error is errQuestion or an *UnansweredError.
func (k *Client) review(ctx context.Context, client rest.Interface, resource string, question, answer runtime.Object) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	select {
	case k.turns <- struct{}{}:
		defer func() { <-k.turns }()
	case <-ctx.Done():
		return failure(resource, fmt.Errorf("%d reviews are under way and none has ended in time: %w", reviewsAtOnce, context.Cause(ctx)))
	}
	create := func() error {
		return client.Post().Resource(resource).MaxRetries(1).Body(question).Do(ctx).Into(answer)
	}
	err := create()
	if apierrors.IsUnauthorized(err) {
		err = create() // a pod's token that was refused has been read again meanwhile
	}
	if err != nil {
		return failure(resource, err)
	}
	return nil
}
