// Command certmanager runs what of cert-manager makes certificates and has them trusted: its
// controllers for certificates and for issuers that have a CA, and its cainjector. It takes a
// kubeconfig and ends when it is told to. It is a module of its own, since cert-manager brings
// much of Kubernetes, and there at all because cert-manager's own commands are in modules
// without a version.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: certmanager KUBECONFIG")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(klog.Background())
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return issue(ctx, os.Args[1]) })
	all.Go(func() error { return inject(ctx, os.Args[1]) })
	if err := all.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
