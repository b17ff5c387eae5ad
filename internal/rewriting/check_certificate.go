package rewriting

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

// issued is a Certificate of cert-manager whose CA its cainjector writes into a webhook's
// configuration.
type issued struct {
	webhook         string // the configuration's name
	namespace, name string
	trusted         []byte // PEM; empty: nothing was written yet
}

// certificateStatus is what cert-manager says of a Certificate.
type certificateStatus struct {
	Status struct {
		Conditions []metav1.Condition
		NotAfter   metav1.Time
	}
}

// noteIssued learns of the Certificate that a webhook's configuration names.
func (i *Installation) noteIssued(read admissionregistration.MutatingWebhookConfiguration) {
	namespace, name, named := strings.Cut(read.Annotations[mirror.InjectCAFrom], "/")
	if !named {
		return
	}
	certificate := issued{webhook: read.Name, namespace: namespace, name: name}
	for _, webhook := range read.Webhooks {
		if webhook.Name == mirror.WebhookName {
			certificate.trusted = webhook.ClientConfig.CABundle
		}
	}
	i.issued = append(i.issued, certificate)
}

// CheckCertificates tells whether the webhooks' certificates are there and trusted, where
// cert-manager makes them.
func (i Installation) CheckCertificates(ctx context.Context, now time.Time) []Finding {
	var found []Finding
	for _, of := range i.issued {
		f := Finding{What: "the webhook's certificate, by cert-manager", Outcome: Failed, Next: of.lookAt()}
		var read certificateStatus
		err := i.cluster.Get(ctx, "/apis/cert-manager.io/v1/namespaces/"+of.namespace+"/certificates/"+of.name, &read)
		switch {
		case errors.Is(err, kube.ErrNoObject):
			f.Seen = fmt.Sprintf("Certificate %s is not there, in namespace %s", of.name, of.namespace)
			f.Next = "apply again what makes it: the chart or larder kube manifests, with webhook.certManager.enabled"
		case err != nil:
			f.Outcome, f.Seen = Unknown, err.Error()
		default:
			of.judge(&f, read, now)
		}
		found = append(found, f)
	}
	return found
}

// lookAt is the line that says more.
func (c issued) lookAt() string {
	return "see why: kubectl describe certificate " + c.name + " -n " + c.namespace
}

func (c issued) judge(f *Finding, read certificateStatus, now time.Time) {
	ready := metav1.Condition{Message: "cert-manager has said nothing of it yet: is its controller running?"}
	for _, condition := range read.Status.Conditions {
		if condition.Type == "Ready" {
			ready = condition
		}
	}
	ends := read.Status.NotAfter.Time
	ca, known := endOfCA(c.trusted)
	switch {
	case !ends.IsZero() && now.After(ends):
		f.Seen = fmt.Sprintf("Certificate %s ended on %s: %s", c.name, ends.UTC().Format(time.DateTime), ready.Message)
	case ready.Status != metav1.ConditionTrue:
		f.Seen = fmt.Sprintf("Certificate %s is not ready: %s", c.name, ready.Message)
	case !known:
		f.Seen = "no CA is written into mutatingwebhookconfiguration/" + c.webhook + ", so that the API server trusts no certificate"
		f.Next = "is cert-manager's cainjector running? Its log says why it does not write it; the issuer has to have a CA: " + c.lookAt()
	case now.After(ca):
		f.Seen = fmt.Sprintf("the CA in mutatingwebhookconfiguration/%s ended on %s", c.webhook, ca.UTC().Format(time.DateTime))
	default:
		f.Outcome, f.Next = OK, ""
		f.Seen = fmt.Sprintf("Certificate %s is ready, and ends on %s", c.name, ends.UTC().Format(time.DateTime))
	}
}

// endOfCA is when the last of some certificates in PEM form ends.
func endOfCA(text []byte) (last time.Time, known bool) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil && ca.NotAfter.After(last) {
			last, known = ca.NotAfter, true
		}
	}
	return last, known
}
