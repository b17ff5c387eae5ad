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

// The programs, and the name that etcd has when it is built.
const (
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	kubectl           = "kubectl"
	kubelet           = "kubelet"
	etcd              = "etcd"
	etcdBuilt         = "server"
)

// Programs is the folder of kube-apiserver, kube-controller-manager, kubectl and etcd, in
// the versions of tools/kubernetes/go.mod. The first time they are built, which takes ten
// minutes and more on two cores.
func Programs() (folder string, err error) {
	return built("kubernetes", []string{apiServer, controllerManager, kubectl, etcd}, func(ctx context.Context, module, flags, folder string) error {
		// All at once, since they share most of what they are made of.
		err := goBuild(ctx, module, flags, folder,
			"k8s.io/kubernetes/cmd/"+apiServer, "k8s.io/kubernetes/cmd/"+controllerManager, "k8s.io/kubernetes/cmd/"+kubectl, "go.etcd.io/etcd/"+etcdBuilt+"/v3")
		if err != nil {
			return err
		}
		return os.Rename(filepath.Join(folder, etcdBuilt), filepath.Join(folder, etcd))
	})
}

// Kubelet is the path of kubelet in the same version. It is built apart from the others,
// for those who want it.
func Kubelet() (path string, err error) {
	folder, err := built(kubelet, []string{kubelet}, func(ctx context.Context, module, flags, folder string) error {
		return goBuild(ctx, module, flags, folder, "k8s.io/kubernetes/cmd/"+kubelet)
	})
	return filepath.Join(folder, kubelet), err
}

// built is a folder with programs of the version of Kubernetes that is wanted. Where they
// are missing, build is given the module to build them in, and the linker's flags.
func built(name string, programs []string, build func(ctx context.Context, module, flags, folder string) error) (folder string, err error) {
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
	const variable = " -X k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w%[1]sgitVersion=v%[2]s%[1]sgitMajor=%[3]s%[1]sgitMinor=%[4]s", variable, version[1], version[2], version[3])
	sum := sha256.Sum256(text)
	return testkit.Built(fmt.Sprintf("%s@v%s-%s", name, version[1], hex.EncodeToString(sum[:6])), programs, func(ctx context.Context, folder string) error {
		return build(ctx, module, flags, folder)
	})
}

func goBuild(ctx context.Context, module, flags, folder string, packages ...string) error {
	return testkit.Go(ctx, module, []string{"CGO_ENABLED=0"}, append([]string{
		"build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", folder + "/",
	}, packages...)...)
}
