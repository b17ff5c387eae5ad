package mirror

import (
	"encoding/base64"
	"slices"
	"strings"
)

const (
	// WebhookPath is where the API server posts reviews.
	WebhookPath = "/kubernetes/mutate"
	// WebhookName is the webhook's, in any configuration that holds it.
	WebhookName = "images.larder.dev"
	// OriginalImages is the annotation in which the webhook keeps what a pod asked for: an
	// object with the names of containers and volumes, and their images.
	OriginalImages = "larder.dev/original-images"
	// InjectCAFrom is the annotation by which cert-manager's cainjector is told the
	// NAMESPACE/NAME of the Certificate whose CA it is to write into a configuration.
	InjectCAFrom = "cert-manager.io/inject-ca-from"
)

// Service is one of a cluster, by which its API server reaches the webhook.
type Service struct {
	Namespace, Name string
	Port            int
}

// Endpoint is how an API server reaches the webhook.
type Endpoint struct {
	// URL is without a path; empty: through Service.
	URL     string
	Service Service
	// CA is what the webhook's certificate comes from, in PEM form; empty: what the API
	// server trusts anyway, or what somebody else will write.
	CA []byte
	// InjectCAFrom is the NAMESPACE/NAME of the Certificate from which cert-manager's
	// cainjector writes it; empty: it does not.
	InjectCAFrom string
}

// Webhook is a MutatingWebhookConfiguration (admissionregistration.k8s.io/v1) in YAML.
func Webhook(r Rules, o OptOut, at Endpoint) (string, error) {
	values := map[string]any{
		"Host": r.Host, "Path": WebhookPath, "Label": OptOutKey, "Disabled": Disabled,
		"Excluded": plainNames(o.Namespaces), "Service": at.Service, "URL": "", "CA": base64.StdEncoding.EncodeToString(at.CA),
		"Name": WebhookName, "Labels": labels, "NoteKey": NoteKey, "Note": note(r, o), "InjectCAFrom": at.InjectCAFrom,
	}
	if at.URL != "" {
		values["URL"] = at.URL + WebhookPath
	}
	return form("webhook", values)
}

// plainNames are those that are no patterns: a cluster does not even ask about them. The
// webhook itself knows all.
func plainNames(namespaces []string) []string {
	return slices.DeleteFunc(slices.Clone(namespaces), func(name string) bool { return strings.Contains(name, "*") })
}
