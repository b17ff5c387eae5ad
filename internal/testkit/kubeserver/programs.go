package kubeserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/larder-registry/larder/internal/testkit"
)

// The programs, and the name that the last one has when it is built.
const (
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	kubectl           = "kubectl"
	etcd              = "etcd"
	etcdBuilt         = "server"
)

// Programs is the folder of kube-apiserver, kube-controller-manager, kubectl and etcd, in
// the versions of tools/kubernetes/go.mod. The first time they are built, which takes ten
// minutes and more on two cores.
func Programs() (folder string, err error) {
	module, err := testkit.Module("kubernetes")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	version := regexp.MustCompile(`\bk8s\.io/kubernetes v((\d+)\.(\d+)\S*)`).FindSubmatch(text)
	if version == nil {
		return "", fmt.Errorf("%s does not say which version of k8s.io/kubernetes is wanted", filepath.Join(module, "go.mod"))
	}
	sum := sha256.Sum256(text)
	name := fmt.Sprintf("kubernetes@v%s-%s", version[1], hex.EncodeToString(sum[:6]))
	return testkit.Built(name, []string{apiServer, controllerManager, kubectl, etcd}, func(ctx context.Context, folder string) error {
		return build(ctx, module, folder, version)
	})
}

// build builds all programs at once, which share most of what they are made of.
func build(ctx context.Context, module, folder string, version [][]byte) error {
	const variable = " -X k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w%[1]sgitVersion=v%[2]s%[1]sgitMajor=%[3]s%[1]sgitMinor=%[4]s", variable, version[1], version[2], version[3])
	err := testkit.Go(ctx, module, []string{"CGO_ENABLED=0"}, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", folder+"/",
		"k8s.io/kubernetes/cmd/"+apiServer, "k8s.io/kubernetes/cmd/"+controllerManager, "k8s.io/kubernetes/cmd/"+kubectl, "go.etcd.io/etcd/"+etcdBuilt+"/v3")
	if err != nil {
		return err
	}
	return os.Rename(filepath.Join(folder, etcdBuilt), filepath.Join(folder, etcd))
}
