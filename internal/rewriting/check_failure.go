package rewriting

import (
	"fmt"
	"net"
	"strings"
)

// failure is one that nodes meet when they pull: what their runtimes say of it, and what is
// to be said and done.
type failure struct {
	signs      []string
	seen, next string
}

// pullFailure finds out why a node did not pull an image of the registry, by what its
// runtime says.
func pullFailure(message, host, image string) (seen, next string) {
	project, _, _ := strings.Cut(strings.TrimPrefix(image, host+"/"), "/")
	for _, f := range pullFailures(host, project) {
		for _, sign := range f.signs {
			if strings.Contains(message, sign) {
				return f.seen, f.next
			}
		}
	}
	return "the node cannot pull", "see what its runtime says, and larder explain"
}

// pullFailures are in the order in which they are told apart. Names, ports and digests are
// part of what runtimes say, so that no sign is a bare number.
func pullFailures(host, project string) []failure {
	name := host
	if alone, _, err := net.SplitHostPort(host); err == nil {
		name = alone
	}
	return []failure{
		// A resolver that refuses or does not answer is no registry that does so.
		{
			[]string{"lookup " + name, "no such host", "name resolution"}, "the node does not know the name (DNS)",
			"nodes ask their own resolver (/etc/hosts and /etc/resolv.conf there), not the cluster's: add a record for " + name,
		},
		{
			[]string{"x509: ", "certificate signed by", "failed to verify certificate"}, "the node does not trust the certificate",
			"put its CA on the nodes: larder kube nodes --image IMAGE --ca larder-ca.crt | kubectl apply -f -, or on each of them: larder mirrors --for containerd --url https://" + host + " --ca larder-ca.crt --to /. containerd reads it only where its config_path is set",
		},
		{[]string{"HTTP response to HTTPS client"}, "the node speaks https and the registry http", "give Larder TLS (tls.selfSigned: true)"},
		{[]string{"429 Too Many Requests", "toomanyrequests"}, "a pull limit is used up", "larder upstream status"},
		{
			[]string{"500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"}, "the registry cannot give the image now",
			"larder upstream status shows whether the upstream answers, and larder explain what became of the pull",
		},
		{
			[]string{"401 Unauthorized", "403 Forbidden", "authorization failed", "unauthorized: ", "access denied", "is denied"}, "the registry refuses the node",
			fmt.Sprintf("open the cache project: larder policy add-role-to-group system:image-puller system:unauthenticated -n %s", project),
		},
		{
			[]string{"connection refused", "i/o timeout", "deadline exceeded", "no route to host", "unreachable"}, "the node does not reach it",
			"is Larder up (larder registry info), and does a firewall or a NetworkPolicy stand between?",
		},
		{[]string{"not found"}, "the registry does not have it", "larder explain shows why"},
	}
}
