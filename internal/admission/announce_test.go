package admission_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/ledger"
)

const twoImages = `"spec":{"containers":[{"name":"a","image":"nginx:1"},{"name":"b","image":"registry.example/docker-hub/library/redis"},{"name":"c","image":"quay.io/x/y"}]}`

func TestThePullsOfAPodAreAnnouncedWithItsNamespaceAndWorkload(t *testing.T) {
	yes := true
	pulls := func(workload string) []admission.Pull {
		return []admission.Pull{{Image: "docker-hub/library/nginx:1", Namespace: "shop", Workload: workload}, {Image: "docker-hub/library/redis", Namespace: "shop", Workload: workload}}
	}
	owner := func(kind, name string) string {
		return fmt.Sprintf(`"ownerReferences":[{"apiVersion":"v1","kind":%q,"name":%q,"uid":"1","controller":true}]`, kind, name)
	}
	tests := map[string]struct {
		metadata  string
		namespace string
		dryRun    *bool
		want      []admission.Pull
	}{
		"a pod by itself":           {`"name":"try"`, "shop", nil, pulls("Pod/try")},
		"a pod without a name yet":  {`"generateName":"try-"`, "shop", nil, pulls("Pod/try")},
		"a Deployment's":            {`"labels":{"pod-template-hash":"5d4f"},` + owner("ReplicaSet", "web-5d4f"), "shop", nil, pulls("Deployment/web")},
		"a ReplicaSet's":            {owner("ReplicaSet", "web-5d4f"), "shop", nil, pulls("ReplicaSet/web-5d4f")},
		"a StatefulSet's":           {owner("StatefulSet", "db"), "shop", nil, pulls("StatefulSet/db")},
		"a dry run":                 {`"name":"try"`, "shop", &yes, nil},
		"a namespace that opts out": {`"name":"try"`, "kube-system", nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []admission.Pull
			c := config()
			c.Coming = func(p admission.Pull) { got = append(got, p) }
			review := request{namespace: test.namespace, pod: `{"metadata":{` + test.metadata + `},` + twoImages + `}`}.review()
			review.Request.DryRun = test.dryRun
			answer(t, c, review)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("announced (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnnouncingHoldsUpNoReview(t *testing.T) {
	book := ledger.New(ledger.Config{})
	for i := range 20_000 { // more than is remembered
		book.Announce(ledger.Coming{Upstream: "docker-hub", Repository: fmt.Sprint("acme/image", i), Namespace: "shop"})
	}
	c := config()
	c.Coming = func(p admission.Pull) {
		book.Announce(ledger.Coming{Upstream: "docker-hub", Repository: p.Image, Namespace: p.Namespace, Workload: p.Workload})
	}
	shortest := time.Hour // each may stand still on a busy machine
	for i := range 200 {
		review := request{namespace: "shop", pod: fmt.Sprintf(`{"spec":{"containers":[{"name":"a","image":"acme/other%d"}]}}`, i)}.review()
		began := time.Now()
		answer(t, c, review)
		shortest = min(shortest, time.Since(began))
	}
	if shortest > 5*time.Millisecond {
		t.Errorf("a review takes %s", shortest)
	}
}
