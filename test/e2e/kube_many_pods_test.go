package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	manyPods      = 2000             // one after the other, as fast as the API server takes them
	manyPodsLimit = 10 * time.Minute // on a busy machine
)

func TestTwoThousandPodsAreRewrittenOneAfterTheOther(t *testing.T) {
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	c.newRewritingStack()
	c.await("demo", "nginx", cached+"library/nginx:latest")
	var pods strings.Builder
	for i := range manyPods {
		fmt.Fprintf(&pods, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d}\nspec: {containers: [{name: app, image: \"acme/app%d\"}]}\n", i, i%10)
	}
	before := c.reviewTimes()
	c.kubectl.limit = manyPodsLimit
	began := time.Now()
	c.kubectl.runWith(pods.String(), "create", "--namespace", "demo", "--filename", "-")
	t.Logf("%d pods were made in %s; of the webhook's answers, %s", manyPods, time.Since(began).Round(time.Millisecond), c.reviewTimes().since(before))
	images := strings.Fields(c.kubectl.run("get", "pods", "--namespace", "demo", "--output=jsonpath={.items[*].spec.containers[0].image}"))
	rewritten := slices.DeleteFunc(images, func(image string) bool { return !strings.HasPrefix(image, cached+"acme/app") })
	if len(rewritten) != manyPods {
		t.Errorf("%d of %d pods have their image from the cache", len(rewritten), manyPods)
	}
}

// reviewTimes is how many reviews the API server has had answered within each bound of its
// histogram, in seconds.
type reviewTimes map[string]int

func (c *cluster) reviewTimes() reviewTimes {
	c.t.Helper()
	times := reviewTimes{}
	bucket := regexp.MustCompile(`(?m)^apiserver_admission_webhook_admission_duration_seconds_bucket\{.*name="images\.larder\.dev",operation="CREATE".*le="([^"]+)"\} (\d+)$`)
	for _, found := range bucket.FindAllStringSubmatch(c.kubectl.run("get", "--raw", "/metrics"), -1) {
		count, err := strconv.Atoi(found[2])
		if err != nil {
			c.t.Fatal(err)
		}
		times[found[1]] += count
	}
	return times
}

// since tells which share was answered within each bound.
func (r reviewTimes) since(before reviewTimes) string {
	all := r["+Inf"] - before["+Inf"]
	var shares []string
	for _, bound := range []string{"0.005", "0.025", "0.1", "0.5"} {
		if all > 0 {
			shares = append(shares, fmt.Sprintf("%.2f%% within %ss", 100*float64(r[bound]-before[bound])/float64(all), bound))
		}
	}
	return strings.Join(shares, ", ")
}
