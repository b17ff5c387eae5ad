package ledger

import (
	"cmp"
	"net/netip"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// entry is a call as the ledger keeps it. It is booked to the project of the service
// account that asked, else to the cache project, which is called like its upstream.
func entry(c upstream.Call) metadata.LedgerCall {
	e := metadata.LedgerCall{
		At: c.At, Upstream: c.Upstream, Credential: c.Credential, Kind: string(c.Kind), Repository: c.Repository, Reference: c.Reference,
		Status: c.Status, Bytes: c.Bytes, Counted: c.Counted(), Image: c.Image(),
		User: c.For.User, Project: cmp.Or(c.For.Project, c.Upstream), Client: client(c.For.Client),
		Namespace: c.For.Namespace, Workload: c.For.Workload, Certain: !c.For.Stranger(),
	}
	if r := c.Rate; r != nil {
		e.Rate = &metadata.LedgerRate{Limit: r.Limit, Remaining: r.Remaining, Window: r.Window, Source: r.Source}
	}
	return e
}

// client is an address, or the network that stands for one.
func client(of netip.Prefix) string {
	switch {
	case !of.IsValid():
		return ""
	case of.IsSingleIP():
		return of.Addr().String()
	}
	return of.String()
}
