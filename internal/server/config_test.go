package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/fairshare"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/warm"
	"github.com/spf13/pflag"
)

// sources is what a person gave: a command line, the environment, and files.
type sources struct {
	args  []string
	env   map[string]string
	files map[string]string
}

func (s sources) load(t testing.TB) (Config, error) {
	t.Helper()
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags := BindFlags(set)
	if err := set.Parse(s.args); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) {
		text, set := s.env[name]
		return text, set
	}
	read := func(name string) ([]byte, error) {
		text, exists := s.files[name]
		if !exists {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
	return Load(flags, lookup, read)
}

// withFile is a configuration file and nothing else.
func withFile(text string) sources {
	return sources{args: []string{"--config", "larder.yaml"}, files: map[string]string{"larder.yaml": text}}
}

func TestWithoutAnyArgumentTheDefaultsHold(t *testing.T) {
	got, err := sources{}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Defaults(), got, comparePrefixes()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if !got.Upstreams[0].Hub() || got.Upstreams[0].URL.String() != "https://registry-1.docker.io" {
		t.Errorf("the default upstream is not Docker Hub: %v", got.Upstreams[0])
	}
}

func comparePrefixes() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}

func TestAFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault(t *testing.T) {
	tests := []struct {
		key, flag, env string
		yaml           string
		values         [4]string // of the default, the file, the environment, the flag
		read           func(Config) string
	}{
		{key: "listen", flag: "--listen", env: "LARDER_LISTEN", yaml: "listen: %s",
			values: [4]string{"127.0.0.1:5000", "127.0.0.1:1", "localhost:2", "[::1]:3"},
			read:   func(c Config) string { return c.Listen }},
		{key: "mirror.listen", flag: "--mirror-listen", env: "LARDER_MIRROR_LISTEN", yaml: "mirror: {listen: '%s'}",
			values: [4]string{"", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
			read:   func(c Config) string { return c.Mirror.Listen }},
		{key: "data", flag: "--data", env: "LARDER_DATA", yaml: "data: %s",
			values: [4]string{"./larder-data", "/a", "/b", "/c"},
			read:   func(c Config) string { return c.Data }},
		{key: "publicURL", flag: "--public-url", env: "LARDER_PUBLIC_URL", yaml: "publicURL: %s",
			values: [4]string{"<nil>", "https://a.example", "http://b.example:8080", "https://c.example"},
			read: func(c Config) string {
				if c.PublicURL == nil {
					return "<nil>"
				}
				return c.PublicURL.String()
			}},
		{key: "replica.advertise", flag: "--replica-advertise", env: "LARDER_REPLICA_ADVERTISE",
			yaml:   "database: postgres://db/larder\nstorage: s3://larder\nreplica: {advertise: %s}",
			values: [4]string{"<nil>", "http://10.0.0.1:5000", "http://10.0.0.2:5000", "http://10.0.0.3:5000"},
			read: func(c Config) string {
				if c.Replica.Advertise == nil {
					return "<nil>"
				}
				return c.Replica.Advertise.String()
			}},
		{key: "log.level", flag: "--log-level", env: "LARDER_LOG_LEVEL", yaml: "log: {level: %s}",
			values: [4]string{"INFO", "debug", "warn", "error"},
			read:   func(c Config) string { return strings.ToLower(c.Log.Level.String()) }},
		{key: "log.format", flag: "--log-format", env: "LARDER_LOG_FORMAT", yaml: "log: {format: %s}",
			values: [4]string{"", "text", "json", "text"},
			read:   func(c Config) string { return c.Log.Format }},
	}
	for _, tt := range tests {
		for level, want := range tt.values {
			t.Run(fmt.Sprintf("%s from source %d of 4", tt.key, level+1), func(t *testing.T) {
				given := withFile("")
				if level >= 1 {
					given = withFile(fmt.Sprintf(tt.yaml, tt.values[1]))
				}
				given.env = map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
				if level >= 2 {
					given.env[tt.env] = tt.values[2]
				}
				if level >= 3 {
					given.args = append(given.args, tt.flag, tt.values[3])
				}
				config, err := given.load(t)
				if err != nil {
					t.Fatal(err)
				}
				if got := tt.read(config); !strings.EqualFold(got, want) {
					t.Errorf("%s is %q, want %q", tt.key, got, want)
				}
			})
		}
	}
}

func TestAnEmptyVariableCountsAsNotSet(t *testing.T) {
	got, err := sources{env: map[string]string{"LARDER_LISTEN": "", "LARDER_DATABASE": "", "LARDER_CONFIG": ""}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Defaults(), got, comparePrefixes()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestTheFileMayBeNamedByTheEnvironmentAndTheFlagWins(t *testing.T) {
	given := sources{
		env:   map[string]string{"LARDER_CONFIG": "env.yaml"},
		files: map[string]string{"env.yaml": "data: /from-env", "flag.yaml": "data: /from-flag"},
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"by the environment", nil, "/from-env"},
		{"by the flag", []string{"--config=flag.yaml"}, "/from-flag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given.args = tt.args
			config, err := given.load(t)
			if err != nil {
				t.Fatal(err)
			}
			if config.Data != tt.want {
				t.Errorf("data is %q, want %q", config.Data, tt.want)
			}
		})
	}
}

const wholeFile = `
listen: 0.0.0.0:443
data: /var/lib/larder
publicURL: https://Registry.Example.com/
tls: {certFile: /etc/tls.crt, keyFile: /etc/tls.key}
trustedProxies: [10.1.2.3/8, 192.0.2.7]
shutdownTimeout: 5m
cacheSize: 1.5 GiB
access: kubernetes
metrics: {listen: "127.0.0.1:9090"}
kubernetes:
  kubeconfig: /etc/larder/kubeconfig
  audiences: [larder]
  listen: 0.0.0.0:9443
  names: [webhook.example]
  secret: larder/webhook
  optOut: {annotations: [example.com/cache], namespaces: [ci-*], owners: [Cluster.example.com]}
  warn: true
  pullSecrets: true
  imageTriggers: [demo, team-*]
  serviceAccountTokens: true
  pinRunning: 240h
projects: {selfProvision: false}
replica: {advertise: }
log: {level: warn, format: json}
mirror:
  listen: :5001
  from: ["fd00::/8"]
ledger: {keep: 2160h}
webhooks: {allow: [10.1.0.0/16, "fd00::7"]}
pullLimits:
  anonymous: 100/6h
  authenticated: 200/6h
  serviceAccounts: unlimited
  overall: 3000/1m
  exceptions:
    - {group: devs, limit: 1000/1h30m}
    - {group: ops, limit: unlimited}
    - {project: demo, limit: unlimited}
upstreams:
  - name: docker-hub
    credentials:
      - {username: 12345, passwordFile: /run/secrets/hub}
    tagTTL: 90s
    allow: ["*"]
    deny: [nginx, acme/*]
    realms: [auth.example.com:8443]
    warnAt: [25%, 1%]
    reserve: [{project: prod, share: 20%}]
    budgets: [{project: demo, limit: 50/6h}]
    refresh: {every: 12h, above: 70%, pulled: 48h}
    ca: /etc/ssl/corp.pem
  - name: quay
    url: http://QUAY.example:8080
    registries: [quay.io]
`

func TestEveryKeyOfTheFileIsRead(t *testing.T) {
	given := withFile(wholeFile)
	given.files["/run/secrets/hub"] = "s3cret\r\n"
	authority, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	given.files["/etc/ssl/corp.pem"] = string(authority.certificate)
	got, err := given.load(t)
	if err != nil {
		t.Fatal(err)
	}
	hours := func(most int) ratelimit.Limit { return ratelimit.Limit{Most: most, Window: 6 * time.Hour} }
	want := Config{
		Listen:          "0.0.0.0:443",
		Data:            "/var/lib/larder",
		CacheSize:       gc.Limit{Bytes: 3 << 29},
		PublicURL:       &url.URL{Scheme: "https", Host: "registry.example.com"},
		TLS:             TLS{CertFile: "/etc/tls.crt", KeyFile: "/etc/tls.key"},
		TrustedProxies:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")},
		ShutdownTimeout: 5 * time.Minute,
		Log:             Log{Level: slog.LevelWarn, Format: "json"},
		Metrics:         Metrics{Listen: "127.0.0.1:9090"},
		Access:          AccessKubernetes,
		Kubernetes: Kubernetes{
			Kubeconfig: "/etc/larder/kubeconfig", Audiences: []string{"larder"},
			Listen: "0.0.0.0:9443", Names: []string{"webhook.example"}, Secret: &SecretName{"larder", "webhook"}, Warn: true, PullSecrets: true, ImageTriggers: []string{"demo", "team-*"}, ServiceAccountTokens: true, PinRunning: 240 * time.Hour,
			OptOut: mirror.OptOut{Annotations: []string{"example.com/cache"}, Namespaces: []string{"ci-*"}, Owners: []string{"Cluster.example.com"}},
		},
		Ledger:   Ledger{Keep: 90 * 24 * time.Hour},
		Webhooks: Webhooks{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::7/128")}},
		Mirror:   Mirror{Listen: ":5001", From: []netip.Prefix{netip.MustParsePrefix("fd00::/8")}},
		PullLimits: PullLimits{
			Rules: pulllimit.Rules{
				Anonymous: hours(100), Authenticated: hours(200), ServiceAccounts: &ratelimit.Limit{},
				Groups:   map[string]ratelimit.Limit{"devs": {Most: 1000, Window: 90 * time.Minute}, "ops": {}},
				Projects: map[string]ratelimit.Limit{"demo": {}},
			},
			Overall: ratelimit.Limit{Most: 3000, Window: time.Minute},
		},
		Upstreams: []Upstream{
			{
				Name:        "docker-hub",
				URL:         &url.URL{Scheme: "https", Host: "registry-1.docker.io"},
				Registries:  []string{"docker.io", "index.docker.io", "registry-1.docker.io"},
				Credentials: []Credential{{Username: "12345", PasswordFile: "/run/secrets/hub", Password: "s3cret"}},
				TagTTL:      90 * time.Second,
				Allow:       []string{"*"},
				Deny:        []string{"library/nginx", "acme/*"},
				Realms:      []string{"auth.example.com:8443"},
				CA:          "/etc/ssl/corp.pem",
				WarnAt:      []int{25, 1},
				Shares: fairshare.Plan{
					Reserves: []fairshare.Reserve{{Project: "prod", Percent: 20}},
					Budgets:  []fairshare.Budget{{Project: "demo", Limit: ratelimit.Limit{Most: 50, Window: 6 * time.Hour}}},
				},
				Refresh: warm.Refresh{Every: 12 * time.Hour, Above: 70, Pulled: 48 * time.Hour},
			},
			{
				Name:       "quay",
				URL:        &url.URL{Scheme: "http", Host: "quay.example:8080"},
				Registries: []string{"quay.io"},
				TagTTL:     time.Minute,
				Allow:      []string{"*"},
				WarnAt:     []int{50, 20, 5},
			},
		},
	}
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestUpstreamsOfTheCommandLine(t *testing.T) {
	const file = `
upstreams:
  - {name: docker-hub, url: "https://a.example", tagTTL: 5m}
  - {name: quay, url: "https://quay.io", registries: [quay.io]}
`
	hub := Defaults().Upstreams[0]
	hub.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:7000"}
	other := Upstream{Name: "other", URL: &url.URL{Scheme: "https", Host: "r.example"}, Registries: []string{"r.example"}, TagTTL: time.Minute, Allow: []string{"*"}, WarnAt: []int{50, 20, 5}}
	slow := hub
	slow.TagTTL = 5 * time.Minute
	tests := []struct {
		name  string
		given sources
		want  []Upstream
	}{
		{"docker-hub is Docker Hub whatever its URL", sources{args: []string{"--upstream", "docker-hub=http://127.0.0.1:7000"}}, []Upstream{hub}},
		{"naming one replaces the default list", sources{args: []string{"--upstream", "other=https://r.example"}}, []Upstream{other}},
		{"several are kept in their order", sources{args: []string{"--upstream=other=https://r.example/", "--upstream=docker-hub=http://127.0.0.1:7000"}}, []Upstream{other, hub}},
		{"one that the file has keeps its other settings", sources{
			args:  []string{"--config=larder.yaml", "--upstream=docker-hub=http://127.0.0.1:7000"},
			files: map[string]string{"larder.yaml": file},
		}, []Upstream{slow}},
		{"the file's empty list leaves none", withFile("upstreams: []"), []Upstream{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, err := tt.given.load(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, config.Upstreams); diff != "" {
				t.Errorf("upstreams (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlainHTTPOutsideLoopbackIsServedWhenItIsMeant(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given sources
	}{
		{"with --insecure-http", sources{args: []string{"--listen=:5000", "--mirror-listen=0.0.0.0:5001", "--insecure-http"}}},
		{"with certificates of its own there is no plain HTTP", withFile("listen: ':443'\ntls: {selfSigned: true}")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.given.load(t); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoVerbAndNoEncoderShowsAPassword(t *testing.T) {
	config := Defaults()
	credentials := []Credential{{Username: "acme", Password: "s3cret"}}
	config.Upstreams[0].Credentials = credentials
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("loaded", "config", config)
	slog.New(slog.NewTextHandler(&log, nil)).Info("loaded", "config", config)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %q %x", config, config, config, credentials, credentials, credentials)
	if strings.Contains(text, "s3cret") || strings.Contains(text, "733363726574") {
		t.Errorf("a password is shown: %s", text)
	}
}

func TestReadFileIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(name, make([]byte, maxConfigSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("error is %v", err)
	}
	if err := os.Truncate(name, maxConfigSize); err != nil {
		t.Fatal(err)
	}
	text, err := ReadFile(name)
	if err != nil || len(text) != maxConfigSize {
		t.Errorf("got %d bytes and error %v", len(text), err)
	}
	if _, err := ReadFile(name + ".absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestTheCacheMayGrowAsItSays(t *testing.T) {
	inS3 := "\nstorage: s3://bucket?endpoint=http://127.0.0.1:1&region=x"
	tests := []struct {
		name, file string
		want       gc.Limit
		wrong      string
	}{
		{name: "80% of the disk by default", file: "listen: 127.0.0.1:1", want: gc.Limit{Percent: 80}},
		{name: "a share of the disk", file: "cacheSize: 95%", want: gc.Limit{Percent: 95}},
		{name: "a size in powers of two", file: "cacheSize: 200GiB", want: gc.Limit{Bytes: 200 << 30}},
		{name: "a size in powers of ten", file: "cacheSize: 2TB", want: gc.Limit{Bytes: 2e12}},
		{name: "no limit in S3 by default", file: "listen: 127.0.0.1:1" + inS3},
		{name: "a size in S3", file: "cacheSize: 1GiB" + inS3, want: gc.Limit{Bytes: 1 << 30}},
		{name: "no share of S3", file: "cacheSize: 80%" + inS3, wrong: `cacheSize "80%" (larder.yaml line 1) is a share of the disk, but storage is in S3, which has no end: write a size, for example 200GiB, or remove it for no limit`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			given := withFile(tt.file)
			given.env = map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
			got, err := given.load(t)
			if diff := cmp.Diff(tt.want, got.CacheSize); diff != "" {
				t.Errorf("limit (-want +got):\n%s", diff)
			}
			if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || err.Error() != tt.wrong) {
				t.Errorf("error is %v, want %q", err, tt.wrong)
			}
		})
	}
}
