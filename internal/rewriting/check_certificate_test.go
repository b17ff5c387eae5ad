package rewriting_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/rewriting"
)

// caBundle is a certificate that ends at a time, as a webhook's configuration holds it.
func caBundle(t *testing.T, ends time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: ends}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}))
}

func TestACheckSaysWhatIsWrongWithCertManagersCertificate(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	const (
		ready    = `{status: {conditions: [{type: Issuing, status: "False"}, {type: Ready, status: "True"}], notAfter: "2026-07-01T12:00:00Z"}}`
		expired  = `{status: {conditions: [{type: Ready, status: "False", message: "Renewing certificate as it has expired"}], notAfter: "2026-05-01T12:00:00Z"}}`
		notReady = `{status: {conditions: [{type: Ready, status: "False", message: "Issuing certificate as Secret does not exist"}]}}`
		line     = "kubectl describe certificate larder-webhook -n larder"
	)
	sound, ended := caBundle(t, now.AddDate(1, 0, 0)), caBundle(t, now.AddDate(0, 0, -1))
	for name, tt := range map[string]struct {
		certificate, ca string
		want            rewriting.Outcome
		seen, next      string
	}{
		"all is well":             {ready, sound, rewriting.OK, "is ready, and ends on 2026-07-01 12:00:00", ""},
		"it has ended":            {expired, sound, rewriting.Failed, "ended on 2026-05-01 12:00:00: Renewing certificate", line},
		"it is not issued":        {notReady, "", rewriting.Failed, "is not ready: Issuing certificate as Secret does not exist", line},
		"nobody issues it":        {"{}", "", rewriting.Failed, "is its controller running?", line},
		"it is not there":         {"", sound, rewriting.Failed, "Certificate larder-webhook is not there", "webhook.certManager.enabled"},
		"no CA is written":        {ready, "", rewriting.Failed, "no CA is written into mutatingwebhookconfiguration/larder", "cainjector"},
		"the CA is none":          {ready, "bm9uZQ==", rewriting.Failed, "no CA is written", "cainjector"},
		"what is trusted is over": {ready, ended, rewriting.Failed, "the CA in mutatingwebhookconfiguration/larder ended on 2026-05-31 12:00:00", line},
	} {
		t.Run(name, func(t *testing.T) {
			objects := installed()
			objects[admission+"mutatingwebhookconfigurations/larder"] = `{metadata: {name: larder, annotations: {cert-manager.io/inject-ca-from: larder/larder-webhook}},
				webhooks: [{name: images.larder.dev, clientConfig: {caBundle: "` + tt.ca + `"}}]}`
			if tt.certificate != "" {
				objects["/apis/cert-manager.io/v1/namespaces/larder/certificates/larder-webhook"] = tt.certificate
			}
			f := newFake(t, objects)
			found := look(t, f).CheckCertificates(t.Context(), now)
			if len(found) != 1 || found[0].Outcome != tt.want || !strings.Contains(found[0].Seen, tt.seen) || !strings.Contains(found[0].Next, tt.next) || (tt.want == rewriting.OK) != (found[0].Next == "") {
				t.Errorf("%+v", found)
			}
		})
	}
	if found := look(t, newFake(t, installed())).CheckCertificates(t.Context(), now); len(found) != 0 {
		t.Errorf("without cert-manager: %+v", found)
	}
}
