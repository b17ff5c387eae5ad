package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/mirror"
)

// Kubernetes says which cluster is asked, and how the images of its pods are rewritten.
type Kubernetes struct {
	Kubeconfig string   // file; empty: the pod's service account
	Audiences  []string // that tokens may be meant for; empty: the API server's own
	// Listen is the HOST:PORT of the admission webhook; empty: there is none.
	Listen string
	// Names are further ones by which the API server reaches it.
	Names []string
	// CertFile and KeyFile are PEM; empty: a certificate of its own is made.
	CertFile, KeyFile string
	// Secret is where replicas keep that one in the cluster; nil: each has its own.
	Secret *SecretName
	OptOut mirror.OptOut
	Warn   bool // the user is told what was rewritten
	// PullSecrets keeps pull secrets on the service accounts of namespaces that ask for it.
	PullSecrets bool
	// ServiceAccountTokens has the tokens of the cluster's service accounts pull, where access
	// is local.
	ServiceAccountTokens bool
	// ImageTriggers are the namespaces, and patterns of them, whose workloads may follow tags.
	ImageTriggers []string
	// PinRunning is how long an image stays pinned after it was last seen running; zero: what
	// runs is not looked for.
	PinRunning time.Duration
}

// defaultPinRunning is for a cluster that decides who may do what, and so is known.
const defaultPinRunning = 7 * 24 * time.Hour

// leastPinRunning is longer than looks lie apart.
const leastPinRunning = time.Hour

// SecretName is one of a cluster.
type SecretName struct{ Namespace, Name string }

func (s SecretName) String() string { return s.Namespace + "/" + s.Name }

// ParseSecretName accepts NAMESPACE/NAME.
func ParseSecretName(text string) (SecretName, bool) {
	namespace, name, _ := strings.Cut(text, "/")
	ok := mirror.IsNamespace(namespace) && mirror.IsNamespace(name) && !strings.Contains(text, "*")
	return SecretName{namespace, name}, ok
}

// atStart is what a reload does not change.
func (k Kubernetes) atStart() Kubernetes {
	k.OptOut, k.Warn = mirror.OptOut{}, false
	return k
}

// ownNamespace is where the manifests in the documentation put Larder.
const ownNamespace = "larder"

func defaultOptOut() mirror.OptOut {
	return mirror.OptOut{Namespaces: []string{"kube-system", ownNamespace}, Owners: mirror.DefaultOwners()}
}

func (r *fileReader) kubernetes(e entry) {
	c := &r.loader.config.Kubernetes
	r.mapping(e, fields{
		"kubeconfig": func(e entry) { r.path(e, &c.Kubeconfig) },
		"audiences":  func(e entry) { c.Audiences = list(&r.yamlFile, e, parseAudience) },
		"listen": func(e entry) {
			if g, ok := r.text(e); ok {
				r.loader.given[e.key] = g
				r.loader.setAddress(&c.Listen, g)
			}
		},
		"names": func(e entry) { c.Names = list(&r.yamlFile, e, parseHost) },
		"tls": func(e entry) {
			r.loader.given[e.key] = given{key: e.key, from: r.from(e)}
			r.mapping(e, fields{
				"certFile": func(e entry) { r.path(e, &c.CertFile) },
				"keyFile":  func(e entry) { r.path(e, &c.KeyFile) },
			})
		},
		"secret": func(e entry) {
			if g, ok := r.text(e); ok {
				r.loader.given[e.key] = g
				secret, ok := ParseSecretName(g.text)
				if !ok {
					r.fail(g.errorf("is not a secret of a cluster: write NAMESPACE/NAME, for example larder/larder-webhook"))
					return
				}
				c.Secret = &secret
			}
		},
		"optOut": r.optOut,
		"warn":   func(e entry) { r.boolean(e, &c.Warn) },
		"pullSecrets": func(e entry) {
			r.loader.given[e.key] = given{key: e.key, from: r.from(e)}
			r.boolean(e, &c.PullSecrets)
		},
		"serviceAccountTokens": func(e entry) {
			r.loader.given[e.key] = given{key: e.key, from: r.from(e)}
			r.boolean(e, &c.ServiceAccountTokens)
		},
		"imageTriggers": func(e entry) {
			r.loader.given[e.key] = given{key: e.key, from: r.from(e)}
			c.ImageTriggers = list(&r.yamlFile, e, formed(mirror.IsNamespace, isNoNamespace))
		},
		"pinRunning": func(e entry) {
			if g, ok := r.text(e); ok {
				r.loader.given[e.key] = g
				r.duration(e, &c.PinRunning)
			}
		},
	})
}

const isNoNamespace = "is not the name of a namespace, nor a pattern such as kube-*"

func (r *fileReader) optOut(e entry) {
	c := &r.loader.config.Kubernetes.OptOut
	r.mapping(e, fields{
		"annotations": func(e entry) {
			c.Annotations = list(&r.yamlFile, e, formed(mirror.IsAnnotation, "is not the key of an annotation: write it like example.com/pull-through-cache"))
		},
		"namespaces": func(e entry) {
			c.Namespaces = list(&r.yamlFile, e, formed(mirror.IsNamespace, isNoNamespace))
		},
		"owners": func(e entry) {
			c.Owners = list(&r.yamlFile, e, formed(mirror.IsOwner, "is not a kind of objects with its group: write it like Cluster.postgresql.cnpg.io"))
		},
	})
}

// formed accepts texts of a form.
func formed(is func(string) bool, problem string) func(given) (string, error) {
	return func(g given) (string, error) {
		if !is(g.text) {
			return "", g.errorf("%s", problem)
		}
		return g.text, nil
	}
}

func (l *loader) validateKubernetes() {
	k := l.config.Kubernetes
	if g, given := l.given["kubernetes.pinRunning"]; given {
		if k.PinRunning != 0 && k.PinRunning < leastPinRunning {
			l.fail(g.errorf("is too short: write at least 1h, since what runs is looked for every few minutes, or 0s for not at all"))
		}
	} else if l.config.Access == AccessKubernetes {
		l.config.Kubernetes.PinRunning = defaultPinRunning
	}
	if k.Listen != "" && l.config.PublicURL == nil {
		l.fail(l.given["kubernetes.listen"].errorf("is for pods whose images are pulled from this registry: set publicURL, so that it is known what they are called"))
	}
	if k.ServiceAccountTokens && len(k.Audiences) == 0 {
		l.fail(fmt.Errorf("kubernetes.serviceAccountTokens (%s) takes tokens that were made for this registry: set kubernetes.audiences to what they are made for, as [registry.example.com]", l.given["kubernetes.serviceAccountTokens"].from))
	}
	for key, on := range map[string]bool{"kubernetes.pullSecrets": k.PullSecrets, "kubernetes.imageTriggers": len(k.ImageTriggers) > 0} {
		if on && l.config.PublicURL == nil {
			l.fail(fmt.Errorf("%s (%s) is for pods that pull from this registry: set publicURL, so that it is known what it is called", key, l.given[key].from))
		}
	}
	if k.Secret != nil && k.CertFile != "" {
		l.fail(l.given["kubernetes.secret"].errorf("and kubernetes.tls are two sources of one certificate: keep one of them"))
	}
	if (k.CertFile == "") != (k.KeyFile == "") {
		l.fail(fmt.Errorf("kubernetes.tls (%s) needs both certFile and keyFile, or neither", l.given["kubernetes.tls"].from))
	}
}
