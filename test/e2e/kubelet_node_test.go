//go:build kubelet

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

const (
	// nodeName is also where the API server finds the kubelet.
	nodeName = "localhost"
	// sandbox is the image that holds a pod's namespaces. It is on the node from the start,
	// as it is on nodes that are set up.
	sandbox = "node.invalid/pause:1"
	// certsFolder is where containerd reads the files of mirrors.
	certsFolder = "/etc/containerd/certs.d"
)

// node is a containerd and a kubelet in namespaces of their own, see testdata/node.sh. Its
// files are read and written below root.
type node struct {
	t          *testing.T
	c          *cluster
	root       string
	pid        int
	cgroup     string
	containerd *daemon
	kubelet    *daemon
}

// newNodeCluster is a cluster that a node may join, and the node's first process. The
// kubelet lets nobody in but the API server.
func newNodeCluster(t *testing.T, controllers ...string) (*cluster, *node) {
	t.Helper()
	needRoot(t)
	home := newHome(t)
	certificate, key := filepath.Join(home, "client.crt"), filepath.Join(home, "client.key")
	writeClientCertificate(t, certificate, key)
	c := newClusterWith(t, kubeserver.Options{Controllers: controllers, Node: nodeName, Flags: []string{
		"--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=Hostname",
		"--kubelet-client-certificate=" + certificate, "--kubelet-client-key=" + key,
	}})
	n := &node{t: t, c: c, cgroup: filepath.Base(home)}
	n.makeControlGroups()
	n.begin()
	n.write("/etc/kubernetes/client.crt", read(t, certificate))
	return c, n
}

// writeClientCertificate makes what the API server shows to kubelets.
func writeClientCertificate(t *testing.T, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// begin starts the first process. When it is killed, the kernel kills all others of the node
// and unmounts what they have mounted.
func (n *node) begin() {
	n.t.Helper()
	shell := newProgram(n.t, "sh")
	d := &daemon{t: n.t, output: newOutput()}
	cmd := shell.command("-c", read(n.t, "testdata/node.sh"))
	cmd.Stdout, cmd.Stderr = d.output, d.output
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
	var err error
	if d.process, err = start(cmd); err != nil {
		n.t.Fatalf("starting a node: %v", err)
	}
	n.t.Cleanup(func() {
		d.signalGroup(syscall.SIGKILL)
		<-d.ended
	})
	d.await("the node is there")
	n.pid = cmd.Process.Pid
	n.root = filepath.Join("/proc", strconv.Itoa(n.pid), "root")
}

// in is a program as it is run on the node. It knows no way to Docker Hub.
func (n *node) in(p *program) *program {
	inside := *p
	inside.path = find(n.t, "nsenter")
	inside.args = append([]string{"--target=" + strconv.Itoa(n.pid), "--mount", "--pid", "--", p.path}, p.args...)
	inside.env = append(slices.Clone(p.env), "NO_PROXY=127.0.0.1,localhost,"+rewrittenHost)
	return &inside
}

func (n *node) write(path, text string) {
	n.t.Helper()
	path = filepath.Join(n.root, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o755)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// knows says which names the node knows.
func (n *node) knows(names ...string) {
	n.t.Helper()
	n.write("/etc/hosts", "127.0.0.1 "+strings.Join(append([]string{"localhost"}, names...), " ")+"\n")
	n.write("/etc/resolv.conf", "nameserver 127.0.0.1\n") // where nobody answers
}

// makeControlGroups makes a group of the node's own in each hierarchy, which is removed with
// all below it.
func (n *node) makeControlGroups() {
	n.t.Helper()
	const all = "/sys/fs/cgroup"
	hierarchies := []string{all}
	if _, err := os.Stat(filepath.Join(all, "cgroup.controllers")); err != nil { // version 1
		if hierarchies, err = filepath.Glob(all + "/*"); err != nil {
			n.t.Fatal(err)
		}
	}
	for _, hierarchy := range hierarchies {
		if info, err := os.Lstat(hierarchy); err != nil || !info.IsDir() {
			continue
		}
		group := filepath.Join(hierarchy, n.cgroup)
		if err := os.Mkdir(group, 0o755); err != nil {
			n.t.Fatal(err)
		}
		n.t.Cleanup(func() { n.removeControlGroup(group) })
		for _, set := range []string{"cpuset.cpus", "cpuset.mems"} { // version 1 has them empty
			if text, err := os.ReadFile(filepath.Join(hierarchy, set)); err == nil {
				_ = os.WriteFile(filepath.Join(group, set), text, 0o600) // a kubelet says what it lacks
			}
		}
	}
}

// removeControlGroup removes a group whose processes are killed. The kernel takes a while to
// see that.
func (n *node) removeControlGroup(group string) {
	var groups []string
	err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	deadline := time.Now().Add(stopTimeout)
	for _, path := range slices.Backward(groups) {
		for err = errors.Join(err, os.Remove(path)); errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline); err = os.Remove(path) {
			time.Sleep(50 * time.Millisecond)
		}
	}
	if err != nil {
		n.t.Errorf("cleaning up: %v", err)
	}
}

// startContainerd starts containerd, which reads the files of mirrors or does not. What runs
// goes on while it is started again.
func (n *node) startContainerd(configPath string) {
	n.t.Helper()
	n.stopDaemon(n.containerd)
	n.write("/etc/containerd/config.toml", fmt.Sprintf(`
version = 2
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/run/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
disable_tcp_service = true
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "/run/cni"
bin_dir = "/run/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
`, sandbox, configPath))
	n.containerd = startDaemon(n.in(newProgram(n.t, "containerd")), "--config", "/etc/containerd/config.toml")
	n.containerd.await("containerd successfully booted")
}

// startKubelet starts a kubelet with further flags, and waits until its node is ready.
func (n *node) startKubelet(flags ...string) {
	n.t.Helper()
	path, err := kubeserver.Kubelet()
	if err != nil {
		n.t.Fatal(err)
	}
	n.stopDaemon(n.kubelet)
	address, health := testkit.NewAddress(n.t), testkit.NewAddress(n.t)
	n.write("/etc/kubernetes/kubelet.yaml", fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %s
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: %s
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: /etc/kubernetes/client.crt}}
authorization: {mode: AlwaysAllow}
clusterDNS: [10.0.0.10]
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi}
`, portOf(n.t, address), portOf(n.t, health), n.cgroup))
	n.kubelet = startDaemon(n.in(newProgram(n.t, path)), append([]string{
		"--kubeconfig=" + n.c.NodeConfig, "--config=/etc/kubernetes/kubelet.yaml", "--hostname-override=" + nodeName,
	}, flags...)...)
	n.kubelet.await("Successfully registered node|Node was previously registered")
	n.c.kubectl.run("wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=50s")
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// stopDaemon ends a daemon of the node, if it was started, as a crash does.
func (n *node) stopDaemon(d *daemon) {
	if d != nil {
		d.signalGroup(syscall.SIGKILL)
		<-d.ended
	}
}

// setUp makes the node what nodes are: it runs pods.
func (n *node) setUp() {
	n.t.Helper()
	for _, plugin := range []string{"larder-test", "loopback"} {
		n.write("/run/cni/"+plugin, read(n.t, "testdata/cni.sh"))
	}
	n.write("/run/cni/10-test.conflist", `{"cniVersion":"0.3.1","name":"test","plugins":[{"type":"larder-test"}]}`)
	n.startContainerd(certsFolder)
	archive := filepath.Join(newHome(n.t), "pause.tar")
	ref, err := name.NewTag(sandbox)
	if err == nil {
		err = tarball.WriteToFile(archive, ref, runnable(n.t, "pause"))
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.ctr().run("images", "import", "--snapshotter", "native", archive)
	n.startKubelet()
}

// ctr is containerd's command line for what kubelet has it run.
func (n *node) ctr() *program {
	ctr := newProgram(n.t, "ctr")
	ctr.args = []string{"--namespace", "k8s.io"}
	return n.in(ctr)
}
