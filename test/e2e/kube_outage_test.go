package e2e_test

import (
	"net/http"
	"testing"
)

func TestWithoutTheAPIServerWhatWasDecidedCarriesOnAndNothingIsOpened(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create namespace other",
		"kubectl create rolebinding pullers -n demo --clusterrole=system:image-puller --serviceaccount=demo:app")
	app, late := c.account("demo", "app"), c.account("demo", "late")
	s := c.newStack()
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	admin := newSkopeo(t)
	source := "oci:" + newImageFolder(t)
	admin.push(source, s.main+"/demo/app:1")
	admin.push(source, s.main+"/other/app:1")
	docker := s.newDocker(t)
	image := s.main + "/demo/app:1"
	s.loginTo(docker, app)
	s.pullable("demo/app:1", app)
	docker.run("pull", image)
	docker.run("image", "rm", image)
	if got := s.pullStatus("demo/app:1", ""); got != http.StatusUnauthorized {
		t.Fatalf("a stranger gets %d", got)
	}

	c.KillAPIServer()
	const silent = "the cluster's API server did not answer; try again"

	docker.run("pull", image)
	docker.run("image", "rm", image)
	for what, got := range map[string][2]int{
		"what was refused":                  {s.pullStatus("demo/app:1", ""), http.StatusUnauthorized},
		"what nobody had asked":             {s.pullStatus("other/app:1", app), http.StatusServiceUnavailable},
		"what no stranger had asked":        {s.pullStatus("other/app:1", ""), http.StatusServiceUnavailable},
		"a push that nobody had asked for":  {s.pushStatus("demo/app", app), http.StatusServiceUnavailable},
		"a token that nobody had shown":     {s.pullStatus("demo/app:1", late), http.StatusServiceUnavailable},
		"a token that is none":              {s.pullStatus("demo/app:1", "none"), http.StatusUnauthorized},
		"what a cache holds, for a token":   {s.pullStatus("docker-hub/library/nginx:latest", app), http.StatusOK},
		"what a cache holds, for strangers": {s.pullStatus("docker-hub/library/nginx:latest", ""), http.StatusOK},
		"whether Larder is ready":           {s.status(http.MethodGet, "/readyz", ""), http.StatusOK},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", what, got[0], got[1])
		}
	}
	// Of a status above 500 docker shows nothing but the status.
	wants(t, docker.fails("pull", s.main+"/other/app:1"), "503 Service Unavailable")
	wants(t, docker.try(late, "login", "--username", "unused", "--password-stdin", s.main).both(), "503 Service Unavailable")
	wants(t, string(get(t, "http://"+s.main+"/v2/other/app/manifests/1", http.StatusServiceUnavailable, "", "")), "whether you may do this cannot be decided now: "+silent)
	wants(t, string(get(t, "http://"+s.main+"/token", http.StatusServiceUnavailable, "unused", late)), "who you are cannot be found out now: "+silent)
	admin.pull(image, "dir:"+admin.home+"/whole")
	s.daemon.await("the cluster decides nothing: what it decided in the last 10 minutes stays in force, and nothing else is allowed")

	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.becomes(http.StatusNotFound, func() int { return s.pullStatus("other/app:1", app) })
	s.becomes(http.StatusForbidden, func() int { return s.pushStatus("demo/app", app) })
	s.daemon.await("the cluster decides again")
	s.loginTo(docker, late)
	c.do("kubectl delete rolebinding pullers -n demo")
	s.becomes(http.StatusNotFound, func() int { return s.pullStatus("demo/app:1", app) })
}

func TestLarderStartsBeforeItsCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo",
		"kubectl create rolebinding pullers -n demo --clusterrole=system:image-builder --serviceaccount=demo:app")
	app := c.account("demo", "app")
	s := c.newStack()
	s.pushable("demo/app", app)
	c.KillAPIServer()

	s.killAndStartAgain()

	s.daemon.await("the cluster that is to decide who may do what does not: until it does, nobody logs in by its tokens and only caches are open")
	if got := s.pushStatus("demo/app", app); got != http.StatusServiceUnavailable {
		t.Errorf("a push gets %d", got)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.pushable("demo/app", app)
}
