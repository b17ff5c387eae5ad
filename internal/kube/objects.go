package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

var (
	// ErrNoObject says that the cluster has no object of the name.
	ErrNoObject = errors.New("the cluster has no such object")
	// ErrChanged says that somebody else has changed or made the object meanwhile.
	ErrChanged = errors.New("the object was changed meanwhile")
)

// Objects reads and writes the few objects of a cluster that are Larder's own. It is safe
// for concurrent use.
type Objects struct {
	core, admission rest.Interface
	timeout         time.Duration
}

// Secret is one of a cluster, as it was read.
type Secret struct {
	Data   map[string][]byte
	Labels map[string]string

	version     string
	annotations map[string]string
}

// OpenObjects makes a client and asks nothing yet. The error says what is wrong with the
// kubeconfig or the pod's service account.
func OpenObjects(c Config) (*Objects, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	connections, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"}) // errors are of this version
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	o := &Objects{timeout: defaultTimeout}
	for _, group := range []struct {
		to      *rest.Interface
		path    string
		version schema.GroupVersion
	}{
		{&o.core, "/api", core.SchemeGroupVersion},
		{&o.admission, "/apis", admissionregistration.SchemeGroupVersion},
	} {
		own := rest.CopyConfig(config)
		own.APIPath, own.GroupVersion = group.path, &group.version
		if *group.to, err = rest.RESTClientForConfigAndClient(own, connections); err != nil {
			return nil, fmt.Errorf("preparing the client of %s: %w", group.version, err)
		}
	}
	return o, nil
}

// Secret reads one. The error is ErrNoObject where there is none.
func (o *Objects) Secret(ctx context.Context, namespace, name string) (Secret, error) {
	var read core.Secret
	if err := o.get(ctx, o.core.Get().Namespace(namespace).Resource("secrets").Name(name), &read); err != nil {
		return Secret{}, fmt.Errorf("reading secret %s in namespace %s: %w", name, namespace, err)
	}
	return Secret{Data: read.Data, Labels: read.Labels, version: read.ResourceVersion, annotations: read.Annotations}, nil
}

// PutSecret writes one that was read, or makes one that was not there. The error is
// ErrChanged when somebody else was faster.
func (o *Objects) PutSecret(ctx context.Context, namespace, name string, s Secret) error {
	secret := core.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, ResourceVersion: s.version, Labels: s.Labels, Annotations: s.annotations},
		Type:       core.SecretTypeTLS, Data: s.Data,
	}
	body, err := json.Marshal(secret)
	if err != nil {
		return fmt.Errorf("writing a secret down: %w", err)
	}
	request := o.core.Post().Namespace(namespace).Resource("secrets")
	if s.version != "" {
		request = o.core.Put().Namespace(namespace).Resource("secrets").Name(name)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := kind(request.SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()); err != nil {
		return fmt.Errorf("writing secret %s in namespace %s: %w", name, namespace, err)
	}
	return nil
}

// TrustCA has the webhooks of a MutatingWebhookConfiguration trust an authority. The error
// is ErrNoObject where there is no such configuration.
func (o *Objects) TrustCA(ctx context.Context, configuration string, ca []byte) error {
	const resource = "mutatingwebhookconfigurations"
	var read admissionregistration.MutatingWebhookConfiguration
	if err := o.get(ctx, o.admission.Get().Resource(resource).Name(configuration), &read); err != nil {
		return fmt.Errorf("reading %s %s: %w", resource, configuration, err)
	}
	var patch []map[string]any
	for i, webhook := range read.Webhooks {
		if bytes.Equal(webhook.ClientConfig.CABundle, ca) {
			continue
		}
		path := "/webhooks/" + strconv.Itoa(i)
		patch = append(patch,
			map[string]any{"op": "test", "path": path + "/name", "value": webhook.Name},
			map[string]any{"op": "add", "path": path + "/clientConfig/caBundle", "value": ca})
	}
	if len(patch) == 0 {
		return nil
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("writing a patch down: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := kind(o.admission.Patch(types.JSONPatchType).Resource(resource).Name(configuration).Body(body).Do(ctx).Error()); err != nil {
		return fmt.Errorf("changing %s %s: %w", resource, configuration, err)
	}
	return nil
}

func (o *Objects) get(ctx context.Context, request *rest.Request, to any) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	result := request.SetHeader("Accept", "application/json").Do(ctx)
	if err := result.Error(); err != nil { // which Raw leaves without the server's own words
		return kind(err)
	}
	body, err := result.Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(body, to)
}

// kind makes errors ErrNoObject and ErrChanged where they are.
func kind(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrNoObject, err)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}
