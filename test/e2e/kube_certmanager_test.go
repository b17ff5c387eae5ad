package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/testkit/certmanager"
)

const (
	// renewalLimit bounds how long a renewed certificate takes from cert-manager to the pods
	// that show it, on a busy machine.
	renewalLimit = 2 * time.Minute
	renewed      = "a renewed certificate is served from now on"
)

// knowsCertificates has the cluster know cert-manager's kinds of objects.
func (c *cluster) knowsCertificates() {
	c.t.Helper()
	definitions, err := certmanager.CustomResources(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	c.kubectl.runWith(definitions, "apply", "--server-side", "--filename", "-")
	c.kubectl.run("wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "crd/issuers.cert-manager.io", "--timeout=60s")
}

// certified is a cluster whose pods are rewritten by the chart's registry and relay, which
// have their certificate from cert-manager and no account in the cluster.
type certified struct {
	*cluster
	secret          mountedSecret
	registry, relay *daemon
	got             map[string]int // what pods got that asked for nginx
}

// mountedSecret is a folder in which a Secret is mounted, as a kubelet does it.
type mountedSecret struct {
	folder  string
	version *string // of what is there
}

// sync writes what the Secret holds, if that has changed, and exchanges the link by which the
// files are found.
func (m mountedSecret) sync(c *cluster) {
	c.t.Helper()
	var secret struct {
		Metadata struct{ ResourceVersion string }
		Data     map[string][]byte
	}
	if err := json.Unmarshal([]byte(c.kubectl.run("get", "secret", "larder-webhook-tls", "--namespace", "larder", "--output=json")), &secret); err != nil {
		c.t.Fatal(err)
	}
	version := ".." + secret.Metadata.ResourceVersion
	if version == *m.version {
		return
	}
	must := func(err error) {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(m.folder, version), 0o700))
	for name, data := range secret.Data {
		must(os.WriteFile(filepath.Join(m.folder, version, name), data, 0o600))
		if *m.version == "" {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.folder, name)))
		}
	}
	must(os.Symlink(version, filepath.Join(m.folder, "..data_tmp")))
	must(os.Rename(filepath.Join(m.folder, "..data_tmp"), filepath.Join(m.folder, "..data")))
	if *m.version != "" {
		must(os.RemoveAll(filepath.Join(m.folder, *m.version)))
	}
	*m.version = version
}

func newCertified(t *testing.T) *certified {
	c := &certified{cluster: newCluster(t, "serviceaccount-controller"), secret: mountedSecret{t.TempDir(), new(string)}, got: map[string]int{}}
	c.namespaces("demo")
	c.knowsCertificates()
	program, err := certmanager.Program()
	if err != nil {
		t.Fatal(err)
	}
	startDaemon(newProgram(t, program), c.Admin)

	webhook, relay := testkit.NewAddress(t), testkit.NewAddress(t)
	rendered := chart(t, "cert-manager.yaml")
	here := strings.NewReplacer( // where services would be, and on a machine that may be busy
		"  timeoutSeconds: 2\n", "  timeoutSeconds: 5\n",
		"  dnsNames:\n", "  ipAddresses: [127.0.0.1]\n  dnsNames:\n",
		"    service: {name: larder-webhook, namespace: larder, port: 443, path: /kubernetes/mutate}", "    url: https://"+relay+"/kubernetes/mutate")
	c.kubectl.runWith(here.Replace(rendered), "apply", "--server-side", "--force-conflicts", "--filename", "-")
	c.kubectl.run("wait", "--for=condition=Ready", "certificate/larder-webhook", "--namespace", "larder", "--timeout=120s")
	c.secret.sync(c.cluster)
	c.runs(rendered, webhook, relay)
	return c
}

// runs runs what the chart's containers would.
func (c *certified) runs(rendered, webhook, relay string) {
	registry, relayed := c.container(rendered, "larder"), c.container(rendered, "larder-webhook")
	here := strings.NewReplacer(":5000", "127.0.0.1:0", ":9090", "127.0.0.1:0", "/etc/larder/webhook-tls", c.secret.folder, "/etc/larder/config/", "",
		"--listen=:9443", "--listen="+relay, "--to=https://larder-internal.larder.svc:9443", "--to=https://"+webhook, ":9443", webhook)
	node := newLarder(c.t)
	node.env = append(node.env, "LARDER_ADMIN_PASSWORD="+adminPassword, "LARDER_PUBLIC_URL="+env(c.t, registry, "LARDER_PUBLIC_URL"))
	node.write("larder.yaml", here.Replace(at(c.t, documents(c.t, rendered, "ConfigMap")[0], "data")["larder.yaml"].(string)))
	for _, args := range [][]string{registry.args, relayed.args} {
		for i := range args {
			args[i] = here.Replace(args[i])
		}
	}
	c.registry = startDaemon(node, registry.args...)
	c.registry.await(`listens on https?://localhost:(\d+),`)
	c.relay = startDaemon(newLarder(c.t), relayed.args...)
}

// makes makes a pod, which ends the test when it is refused.
func (c *certified) makes() {
	c.t.Helper()
	began := time.Now()
	c.got[c.made("demo", "nginx")]++
	if took := time.Since(began); took > relayWait {
		c.t.Errorf("a pod takes %s while the certificate is renewed", took)
	}
}

// renew has cert-manager make a Certificate anew, as cmctl renew does, while pods are made.
func (c *certified) renew(certificate string) {
	c.t.Helper()
	revision := func() string {
		return c.kubectl.run("get", "certificate", certificate, "--namespace", "larder", `--output=jsonpath={.status.revision} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Issuing")].status}`)
	}
	was := revision()
	condition := fmt.Sprintf(`{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"renewed by hand","lastTransitionTime":%q}`, time.Now().UTC().Format(time.RFC3339))
	c.kubectl.run("patch", "certificate", certificate, "--namespace", "larder", "--subresource=status", "--type=json",
		`--patch=[{"op":"add","path":"/status/conditions/-","value":`+condition+`}]`)
	for deadline := time.Now().Add(renewalLimit); ; c.makes() {
		now := revision()
		if now != was && strings.HasSuffix(now, " True ") {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("Certificate %s is not renewed: it was %q and is %q", certificate, was, now)
		}
	}
}

// isTakenOver makes pods until both programs show the certificate that cert-manager has made
// last, as so many before, and the API server trusts what it comes from.
func (c *certified) isTakenOver(times int) {
	c.t.Helper()
	shown := func(d *daemon) bool { return strings.Count(d.output.String(), renewed) == times }
	for deadline := time.Now().Add(renewalLimit); ; {
		c.secret.sync(c.cluster)
		taken := shown(c.registry) && shown(c.relay) && strings.Contains(c.trusted(), c.issued())
		c.makes()
		if taken {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the certificate is not taken over: the registry shows it: %t, the relay: %t; trusted is %s, want %s",
				shown(c.registry), shown(c.relay), c.trusted(), c.issued())
		}
	}
}

// waitedForTheRegistry tells that the relay has had no answer in time, and that this was all
// that was wrong: on a busy machine it leaves pods as they are then.
func (c *certified) waitedForTheRegistry() bool {
	complaints := regexp.MustCompile(`.*the registry's webhook does not answer.*`).FindAllString(c.relay.output.String(), -1)
	return len(complaints) > 0 && !slices.ContainsFunc(complaints, func(line string) bool {
		return !strings.Contains(line, "context deadline exceeded")
	})
}

// trusted are the CAs that the API server trusts, and issued is the one that cert-manager says
// that the certificate comes from; both in PEM form. What cainjector adds, it leaves beside
// what was there until that ends.
func (c *certified) trusted() string {
	c.t.Helper()
	return c.decoded("get", "mutatingwebhookconfiguration", "larder", "--output=jsonpath={.webhooks[0].clientConfig.caBundle}")
}

func (c *certified) issued() string {
	c.t.Helper()
	return c.decoded("get", "secret", "larder-webhook-tls", "--namespace", "larder", `--output=jsonpath={.data.ca\.crt}`)
}

func (c *certified) decoded(args ...string) string {
	c.t.Helper()
	text, err := base64.StdEncoding.DecodeString(c.kubectl.run(args...))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestCertManagersCertificateIsTakenOverWhilePodsAreMade(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	nginx := cached + "library/nginx:latest"
	c.await("demo", "nginx", nginx)
	if issued := c.issued(); issued == "" || c.trusted() != issued {
		t.Errorf("the API server trusts %s and not %s", c.trusted(), issued)
	}
	wants(t, c.larder().run("kube", "check", "--nodes", "0", "--in", "demo"), "Certificate larder-webhook is ready, and ends on ")

	// The chart's CA keeps its key when it is renewed, so that at each moment what is shown
	// comes from what is trusted.
	was := c.issued()
	c.renew("larder-webhook-ca")
	c.renew("larder-webhook")
	if c.issued() == was {
		t.Error("the certificate comes from the CA from before")
	}
	c.isTakenOver(1)
	others := maps.Clone(c.got)
	delete(others, nginx)
	if c.waitedForTheRegistry() {
		delete(others, "nginx")
	}
	if c.got[nginx] == 0 || len(others) > 0 {
		t.Errorf("while the certificate and its CA are renewed, pods get %v", c.got)
	}

	// With another key it is trusted beside the one from before. For up to ten seconds the
	// relay may trust the registry by the new one alone while that shows what comes from the
	// old: pods that are made then keep their images if it connects anew, and none is refused.
	c.do("kubectl delete secret larder-webhook-ca --namespace larder")
	c.kubectl.run("wait", "--for=create", "secret/larder-webhook-ca", "--namespace", "larder", "--timeout=60s")
	c.kubectl.run("wait", "--for=condition=Ready", "certificate/larder-webhook-ca", "issuer/larder-webhook-ca", "--namespace", "larder", "--timeout=60s")
	c.renew("larder-webhook")
	c.isTakenOver(2)
	t.Logf("pods got %v", c.got)
	for image := range c.got {
		if image != "nginx" && image != nginx {
			t.Errorf("while another CA comes to be trusted, pods get %s", image)
		}
	}
	c.await("demo", "nginx", nginx)
	c.keepsNothingOfItsOwn()
}

// larder is what an administrator of the cluster types.
func (c *certified) larder() *program {
	c.t.Helper()
	larder := newLarder(c.t)
	larder.env = append(larder.env, "KUBECONFIG="+c.Admin)
	return larder
}

// keepsNothingOfItsOwn sees that Larder has written nothing into the cluster, and that all of
// it goes with the rest.
func (c *certified) keepsNothingOfItsOwn() {
	c.t.Helper()
	if own := c.certificate(); own != "" {
		c.t.Error("Larder keeps a certificate of its own in the cluster")
	}
	c.do("kubectl delete certificate larder-webhook --namespace larder")
	wants(c.t, c.larder().fails("kube", "check", "--nodes", "0", "--in", "demo"), "Certificate larder-webhook is not there, in namespace larder")
	removed := c.larder().run("kube", "uninstall")
	for _, want := range []string{"certificates/larder-webhook-ca", "issuers/larder-webhook-ca", "secrets/larder-webhook-tls", "mutatingwebhookconfigurations/larder removed"} {
		wants(c.t, removed, want)
	}
}
