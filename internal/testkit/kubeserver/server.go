// Package kubeserver runs a real Kubernetes API server with an etcd of its own, for tests.
package kubeserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/testkit"
)

const (
	// startLimit bounds one start on a busy machine.
	startLimit = 5 * time.Minute
	// maxStarts bounds how often it is tried on other ports, as another process may have
	// taken one that was free.
	maxStarts = 3
	// maxShown bounds what is shown of one program's log, in bytes.
	maxShown = 4 << 10
)

// Options are what a server may have beside the usual.
type Options struct {
	// Flags are added to those of kube-apiserver.
	Flags []string
	// Controllers are run beside it, by the names that kube-controller-manager has for
	// them; without any there is none, and nothing happens by itself: namespaces get no
	// service account, roles are not aggregated.
	Controllers []string
	// Node is the name of a node that may join, in Server.NodeConfig; empty: none.
	Node string
}

// Server is an API server on 127.0.0.1, the etcd behind it, and a folder that holds all of
// it. Roles decide in it (RBAC). It is for one goroutine.
type Server struct {
	// URL is where it listens, https://127.0.0.1:PORT.
	URL string
	// Kubectl is the program, of the server's version.
	Kubectl string
	// Admin is the path of a kubeconfig for somebody who may everything, User one for
	// somebody named dev, in group devs, who may nothing.
	Admin, User string
	// NodeConfig is the path of a kubeconfig for the kubelet of Options.Node.
	NodeConfig string

	options  Options
	programs string
	folder   string
	etcdURL  string
	admin    string // token
	key      *rsa.PrivateKey
	etcd     *process
	api      *process
	manager  *process
}

// Start starts a server, which takes some seconds when the programs are built. Whoever
// starts it stops it.
func Start(ctx context.Context, o Options) (*Server, error) {
	for starts := 1; ; starts++ {
		s := &Server{options: o}
		err := s.start(ctx)
		if err == nil {
			return s, nil
		}
		logs := s.Logs()
		s.Stop()
		if starts == maxStarts || !strings.Contains(logs, "address already in use") {
			return nil, fmt.Errorf("starting a Kubernetes API server: %w\n%s", err, logs)
		}
	}
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.programs, err = Programs(); err != nil {
		return err
	}
	s.Kubectl = filepath.Join(s.programs, kubectl)
	if s.folder, err = os.MkdirTemp("", "larder-kube-"); err != nil {
		return err
	}
	addresses, err := freeAddresses(3)
	if err != nil {
		return err
	}
	s.etcdURL, s.URL = "http://"+addresses[0], "https://"+addresses[2]
	if err := s.writeFiles(); err != nil {
		return err
	}
	peer := "http://" + addresses[1]
	s.etcd, err = begin(s.programs, s.folder, etcd, "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+s.etcdURL, "--advertise-client-urls="+s.etcdURL,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	if err != nil {
		return err
	}
	if err := s.StartAPIServer(ctx); err != nil {
		return err
	}
	return s.startControllers()
}

// writeFiles writes what the API server and its clients know each other by.
func (s *Server) writeFiles() (err error) {
	if s.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return err
	}
	s.admin = rand.Text()
	dev, node := rand.Text(), rand.Text()
	tokens := s.admin + ",admin,uid-admin,system:masters\n" + dev + ",dev,uid-dev,devs\n"
	if s.options.Node != "" {
		tokens += node + ",system:node:" + s.options.Node + ",uid-node,system:nodes\n"
		if s.NodeConfig, err = s.Kubeconfig("node", node); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"sa.key":     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.key)})),
		"tokens.csv": tokens,
	} {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if s.Admin, err = s.Kubeconfig("admin", s.admin); err != nil {
		return err
	}
	s.User, err = s.Kubeconfig("dev", dev)
	return err
}

// StartAPIServer starts the API server again that was killed, with what it held and at the
// same address, and returns when it is ready.
func (s *Server) StartAPIServer(ctx context.Context) (err error) {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	if err != nil {
		return err
	}
	args := []string{
		"--etcd-servers=" + s.etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
		"--cert-dir=" + s.certificates(), "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
		"--service-account-issuer=" + Issuer, "--service-account-key-file=sa.key", "--service-account-signing-key-file=sa.key",
		"--token-auth-file=tokens.csv", "--authorization-mode=Node,RBAC", "--allow-privileged=true", "--profiling=false",
	}
	if s.api, err = begin(s.programs, s.folder, apiServer, append(args, s.options.Flags...)...); err != nil {
		return err
	}
	return s.ready(ctx)
}

// KillAPIServer ends the API server as a crash does. Etcd stays.
func (s *Server) KillAPIServer() {
	s.api.kill()
	s.api = nil
}

func (s *Server) startControllers() (err error) {
	if len(s.options.Controllers) == 0 {
		return nil
	}
	s.manager, err = begin(s.programs, s.folder, controllerManager, "--kubeconfig="+s.Admin, "--leader-elect=false", "--secure-port=0",
		"--controllers="+strings.Join(s.options.Controllers, ","), "--service-account-private-key-file=sa.key",
		"--root-ca-file="+s.Authority())
	return err
}

// Stop ends everything that was started and removes what it held. A second call does
// nothing.
func (s *Server) Stop() {
	for _, p := range []*process{s.manager, s.api, s.etcd} {
		p.kill()
	}
	s.manager, s.api, s.etcd = nil, nil, nil
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}

// Logs are the ends of what the programs printed.
func (s *Server) Logs() string {
	var all strings.Builder
	for _, name := range []string{etcd, apiServer, controllerManager} {
		text, err := os.ReadFile(filepath.Join(s.folder, name+".log"))
		if err == nil {
			fmt.Fprintf(&all, "the end of what %s printed:\n%s\n", name, text[max(0, len(text)-maxShown):])
		}
	}
	return all.String()
}

// Authority is the path of the certificate by which the server is trusted.
func (s *Server) Authority() string { return filepath.Join(s.certificates(), "apiserver.crt") }

func (s *Server) certificates() string { return filepath.Join(s.folder, "certificates") }

func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		address, err := testkit.FreeAddress()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}
