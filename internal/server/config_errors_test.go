package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hubWith is a file with one upstream that has some more lines.
func hubWith(lines ...string) sources {
	return withFile("upstreams:\n  - name: docker-hub\n    " + strings.Join(lines, "\n    "))
}

func (s sources) file(name, text string) sources {
	s.files[name] = text
	return s
}

func onCommandLine(args ...string) sources { return sources{args: args} }

func inEnvironment(name, value string) sources {
	return sources{env: map[string]string{name: value}}
}

// limitAdvice is how a limit is written.
const limitAdvice = ": write how many in which time, for example 100/6h, or unlimited"

func TestAWrongConfigurationSaysWhatWasGivenWhereAndWhatIsAllowed(t *testing.T) {
	const (
		wantAddress = "write HOST:PORT, for example 127.0.0.1:5000"
		wantURL     = "write http://HOST or https://HOST, with :PORT where it is needed"
		open        = "is open to other machines, and passwords would cross the network in clear text: set tls.certFile and tls.keyFile, or tls.selfSigned: true, in the configuration file; or add --insecure-http if a proxy or the network takes care of encryption"
		reserved    = "is reserved: choose another name than repositories, search, namespaces, users, auth, access-tokens, ratelimitpreview"
		badName     = "is not a project name: write lower-case letters, digits, and single . _ - between them, for example docker-hub"
	)
	tests := []struct {
		name  string
		given sources
		want  string
	}{
		// The file as such.
		{"a file that is not there", onCommandLine("--config", "no.yaml"), `configuration file "no.yaml" (flag --config) cannot be read: open no.yaml: file does not exist`},
		{"a file that is not there, named by the environment", inEnvironment("LARDER_CONFIG", "no.yaml"), `configuration file "no.yaml" (environment variable LARDER_CONFIG) cannot be read: open no.yaml: file does not exist`},
		{"a file that is too large", withFile(strings.Repeat("#", maxConfigSize+1)), `configuration file "larder.yaml" (flag --config) is larger than 1048576 bytes`},
		{"a file that is not YAML", withFile("a: 1\nlisten: ["), `larder.yaml line 2: this is not YAML: sequence end token ']' not found`},
		{"a file that is a list", withFile("- listen"), `the configuration (larder.yaml line 1) takes a mapping with the keys access, cacheSize, ciTokens, credentialKeyFile, data, database, databaseFile, kubernetes, ledger, listen, log, metrics, mirror, oidc, projects, publicURL, pullLimits, replica, shutdownTimeout, storage, tls, trustedProxies, upstreams, webhooks`},
		{"two documents", withFile("---\ndata: a\n---\ndata: b\n"), `larder.yaml line 4: a second document begins here: write one only`},
		{"a key twice", withFile("data: a\ndata: b\n"), `larder.yaml line 2: this is not YAML: mapping key "data" already defined at [1:1]`},

		// Keys.
		{"an unknown key that is close to one", withFile("data: /d\nlisten_: x"), `unknown key "listen_" (larder.yaml line 2): did you mean listen?`},
		{"an unknown key in another spelling", withFile("public_url: x"), `unknown key "public_url" (larder.yaml line 1): did you mean publicURL?`},
		{"an unknown key inside a mapping", withFile("mirror:\n  form: []"), `unknown key "mirror.form" (larder.yaml line 2): did you mean mirror.from?`},
		{"an unknown key inside a list", hubWith("tagTtl: 1m", "tagsTTLs: 1m"), `unknown key "upstreams[0].tagTtl" (larder.yaml line 3): did you mean upstreams[0].tagTTL?
unknown key "upstreams[0].tagsTTLs" (larder.yaml line 4): did you mean upstreams[0].tagTTL?`},
		{"an unknown key that is close to none", withFile("tls: {cipherSuites: []}"), `unknown key "tls.cipherSuites" (larder.yaml line 1): the keys known here are acme, certFile, keyFile, selfSigned`},
		{"a merge key", withFile("<<: {data: /d}"), `the configuration (larder.yaml line 1) uses a YAML merge key: write the keys out`},

		// Kinds of values.
		{"certificates by ACME for no name", withFile("tls:\n  acme: {email: a@b.example}"), "tls.acme (larder.yaml line 2) needs domains: list the names by which clients reach this server"},
		{"certificates by ACME for an address", withFile("tls:\n  acme: {domains: [10.0.0.1]}"), `tls.acme.domains[0] "10.0.0.1" (larder.yaml line 2) is not a host name that an authority certifies: write one such as registry.example.com, not an address and not a wildcard
tls.acme (larder.yaml line 2) needs domains: list the names by which clients reach this server`},
		{"certificates by ACME beside files", withFile("tls:\n  selfSigned: true\n  acme: {domains: [a.example]}"), "tls (larder.yaml line 1) has acme and another source of certificates: keep one of acme, selfSigned: true, and certFile with keyFile"},
		{"a mail address that is none", withFile("tls:\n  acme: {domains: [a.example], email: me}"), `tls.acme.email "me" (larder.yaml line 2) is not a mail address: write NAME@HOST`},
		{"a directory that is no URL", withFile("tls:\n  acme: {domains: [a.example], directory: http://ca.example}"), `tls.acme.directory "http://ca.example" (larder.yaml line 2) is not the address of an ACME directory: write https://HOST/PATH`},
		{"a value where a mapping belongs", withFile("tls: yes"), `tls (larder.yaml line 1) takes a mapping with the keys acme, certFile, keyFile, selfSigned`},
		{"a mapping where a value belongs", withFile("listen: {port: 5000}"), `listen (larder.yaml line 1) takes a single value`},
		{"a value where a list belongs", withFile("trustedProxies: 10.0.0.0/8"), `trustedProxies (larder.yaml line 1) takes a list, for example [a, b]`},
		{"a list item without a value", withFile("trustedProxies:\n  -\n"), `trustedProxies[0] (larder.yaml line 2) has no value`},
		{"a value where a boolean belongs", withFile("projects: {selfProvision: maybe}"), `projects.selfProvision (larder.yaml line 1) takes true or false`},
		{"an anchor", withFile("data: &d /d"), `data (larder.yaml line 1) uses a YAML anchor, alias or tag: write the value itself`},

		// Values that flags and variables may set as well.
		{"an address without a port", onCommandLine("--listen", "5000"), `listen "5000" (flag --listen) is not an address: ` + wantAddress},
		{"an address with a port that is none", inEnvironment("LARDER_LISTEN", "127.0.0.1:http"), `listen "127.0.0.1:http" (environment variable LARDER_LISTEN) has no port between 0 and 65535: ` + wantAddress},
		{"an address whose host is none", withFile("metrics:\n  listen: 'a b:1'"), `metrics.listen "a b:1" (larder.yaml line 2) names no valid host: ` + wantAddress},
		{"an address in the file as a number", withFile("listen: 5000"), `listen "5000" (larder.yaml line 1) is not an address: ` + wantAddress},
		{"an empty data folder", onCommandLine("--data", ""), `data "" (flag --data) is not a folder: write its path`},
		{"a public URL without a scheme", onCommandLine("--public-url", "registry.example.com"), `publicURL "registry.example.com" (flag --public-url) is not a URL of http or https with a host: ` + wantURL},
		{"a public URL that is none", inEnvironment("LARDER_PUBLIC_URL", "http://[::1"), `publicURL "http://[::1" (environment variable LARDER_PUBLIC_URL) is not a URL: ` + wantURL},
		{"a public URL with a path", withFile("publicURL: https://a.example/r"), `publicURL "https://a.example/r" (larder.yaml line 1) must not have a path: ` + wantURL},
		{"a public URL with a query", withFile("publicURL: https://a.example?key=s3cret"), `publicURL "https://a.example?..." (larder.yaml line 1) must not have a query or fragment: ` + wantURL},
		{"a log level", onCommandLine("--log-level", "INFO"), `log.level "INFO" (flag --log-level) is not a log level: write debug, info, warn or error`},
		{"a log format", inEnvironment("LARDER_LOG_FORMAT", "xml"), `log.format "xml" (environment variable LARDER_LOG_FORMAT) is not a log format: write text or json`},

		// Values that only the file sets.
		{"a duration without a unit", withFile("shutdownTimeout: 30"), `shutdownTimeout "30" (larder.yaml line 1) is not a duration: write a number with its unit, for example 30s, 1m or 1h30m`},
		{"a network of webhooks that is none", withFile("webhooks: {allow: [ci.example]}"), `webhooks.allow[0] "ci.example" (larder.yaml line 1) is not a network: write it in CIDR form, for example 10.0.0.0/8 or fd00::/8`},
		{"what runs is forgotten too soon", withFile("kubernetes: {pinRunning: 5m}"), `kubernetes.pinRunning "5m" (larder.yaml line 1) is too short: write at least 1h, since what runs is looked for every few minutes, or 0s for not at all`},
		{"a ledger that forgets too soon", withFile("ledger: {keep: 23h}"), `ledger.keep "23h" (larder.yaml line 1) is too short: write at least 24h, since what an upstream has left is told from it`},
		{"a level that is no share", hubWith("warnAt: [20]"), `upstreams[0].warnAt[0] "20" (larder.yaml line 3) is not a share of a pull limit between 1% and 99%: write it like 20%`},
		{"a level that is always reached", hubWith("warnAt: [100%]"), `upstreams[0].warnAt[0] "100%" (larder.yaml line 3) is not a share of a pull limit between 1% and 99%: write it like 20%`},
		{"a reserve without a share", hubWith("reserve:", "- {project: prod}"), `upstreams[0].reserve[0] (larder.yaml line 4) needs a project and a share: write for example {project: prod, share: 20%}`},
		{"a reserve of no share", hubWith("reserve: [{project: prod, share: 20}]"), `upstreams[0].reserve[0].share "20" (larder.yaml line 3) is not a share of a pull limit between 1% and 99%: write it like 20%`},
		{"a reserve for a repository", hubWith("reserve: [{project: a/b, share: 20%}]"), `upstreams[0].reserve[0].project "a/b" (larder.yaml line 3) is not a project: write its name alone, for example demo`},
		{"a project with two reserves", hubWith("reserve:", "- {project: prod, share: 20%}", "- {project: prod, share: 30%}"), `upstreams[0].reserve[1].project "prod" (larder.yaml line 5) is named twice: keep one of them`},
		{"reserves of more than all", hubWith("reserve:", "- {project: prod, share: 60%}", "- {project: demo, share: 41%}"), `upstreams[0].reserve (larder.yaml line 3) sets aside more than all: the shares of one upstream add up to 100% at most, and what they leave is for everybody`},
		{"a reserve with another key", hubWith("reserve: [{project: prod, shares: 20%}]"), "unknown key \"upstreams[0].reserve[0].shares\" (larder.yaml line 3): did you mean upstreams[0].reserve[0].share?\nupstreams[0].reserve[0] (larder.yaml line 3) needs a project and a share: write for example {project: prod, share: 20%}"},
		{"a budget without a limit", hubWith("budgets:", "- {project: demo}"), `upstreams[0].budgets[0] (larder.yaml line 4) needs a project and a limit: write for example {project: demo, limit: 50/6h}`},
		{"a budget that is none", hubWith("budgets: [{project: demo, limit: unlimited}]"), `upstreams[0].budgets[0].limit "unlimited" (larder.yaml line 3) is not a number and a window with a slash between: write how many in which time, for example 50/6h`},
		{"a refresh that does not say how often", hubWith("refresh: {above: 60%}"), `upstreams[0].refresh (larder.yaml line 3) does not say how often: write for example {every: 6h}`},
		{"a refresh that comes too often", hubWith("refresh: {every: 1m}"), `upstreams[0].refresh.every "1m" (larder.yaml line 3) is too short: write at least 10m, since each tag is asked for that often, or 0s for not at all`},
		{"a refresh above no share", hubWith("refresh: {every: 6h, above: 50}"), `upstreams[0].refresh.above "50" (larder.yaml line 3) is not a share of a pull limit between 1% and 99%: write it like 20%`},
		{"a refresh of what was pulled when", hubWith("refresh: {every: 6h, pulled: always}"), `upstreams[0].refresh.pulled "always" (larder.yaml line 3) is not a duration: write a number with its unit, for example 30s, 1m or 1h30m`},
		{"a negative duration", hubWith("tagTTL: -1s"), `upstreams[0].tagTTL "-1s" (larder.yaml line 3) is not a duration: write a number with its unit, for example 30s, 1m or 1h30m`},
		{"a network that is none", withFile("mirror:\n  from:\n    - 10.0.0.0/8\n    - intranet"), `mirror.from[1] "intranet" (larder.yaml line 4) is not a network: write it in CIDR form, for example 10.0.0.0/8 or fd00::/8`},
		{"an unknown kind of access", withFile("access: open"), `access "open" (larder.yaml line 1) is not known: write local or kubernetes`},
		{"an audience that is none", withFile("kubernetes:\n  audiences: ['']"), `kubernetes.audiences[0] "" (larder.yaml line 2) is no audience: write the one that tokens are made for, as in kubectl create token --audience`},
		{"an empty path", withFile("tls: {certFile: '', keyFile: k}"), `tls.certFile "" (larder.yaml line 1) is not a file: write its path`},

		// Upstreams.
		{"an upstream without a name", withFile("upstreams:\n  - url: https://quay.io"), `an upstream (larder.yaml line 2) has no name: write name: and the project through which its images are pulled, for example docker-hub`},
		{"an upstream without a URL", withFile("upstreams: [{name: quay}]"), `upstream quay (larder.yaml line 1) has no url: write url: https://HOST`},
		{"authorities that are not there", hubWith("ca: /etc/nowhere.pem"), `upstreams[0].ca "/etc/nowhere.pem" (larder.yaml line 3) cannot be read: write the path of a PEM file with certificates: open /etc/nowhere.pem: file does not exist`},
		{"authorities that are none", hubWith("ca: larder.yaml"), `upstreams[0].ca "larder.yaml" (larder.yaml line 3) holds no certificate: write the path of a PEM file with those that are to be trusted beside the system's`},
		{"a name of two segments", onCommandLine("--upstream", "a/b=https://quay.io"), `upstream name "a/b" (flag --upstream) must not hold a slash: it becomes the project through which images are pulled, for example docker-hub`},
		{"a name outside the grammar", onCommandLine("--upstream", "Quay=https://quay.io"), `upstream name "Quay" (flag --upstream) ` + badName},
		{"an empty name", onCommandLine("--upstream", "=https://quay.io"), `upstream name "" (flag --upstream) ` + badName},
		{"a reserved name", withFile("upstreams:\n  - {name: search, url: 'https://quay.io'}"), `upstreams[0].name "search" (larder.yaml line 2) ` + reserved},
		{"a flag without a URL", onCommandLine("--upstream", "https://quay.io"), `upstream "https://quay.io" (flag --upstream) has no URL: write NAME=URL, for example docker-hub=https://registry-1.docker.io`},
		{"a URL of another scheme", onCommandLine("--upstream", "quay=ftp://quay.io"), `URL of upstream quay "ftp://quay.io" (flag --upstream) is not a URL of http or https with a host: ` + wantURL},
		{"a URL with a path", withFile("upstreams:\n- name: q\n  url: https://quay.io/v2/"), `upstreams[0].url "https://quay.io/v2/" (larder.yaml line 3) must not have a path: ` + wantURL},
		{"a URL with an account", onCommandLine("--upstream", "quay=https://me:s3cret@quay.io"), `URL of upstream quay "https://...@quay.io" (flag --upstream) must not hold a user name or password: ` + wantURL + `, and the account under credentials in the configuration file`},
		{"two upstreams of one name", onCommandLine("--upstream=a=https://quay.io", "--upstream=a=https://ghcr.io"), `two upstreams are named a (flag --upstream and flag --upstream): give each a name of its own`},
		{"one registry of two upstreams", withFile("upstreams:\n- name: docker-hub\n- {name: b, url: 'https://b.example', registries: [docker.io]}"), `registry docker.io belongs to upstream docker-hub and to upstream b (larder.yaml line 3): list it once`},
		{"a registry that is no host", hubWith("registries: [Docker.io, 'https://docker.io']"), `upstreams[0].registries[0] "Docker.io" (larder.yaml line 3) is not a host: write it in lower case, with :PORT where it is needed, for example quay.io
upstreams[0].registries[1] "https://docker.io" (larder.yaml line 3) is not a host: write it in lower case, with :PORT where it is needed, for example quay.io`},
		{"a realm that is a URL", hubWith("realms: ['https://auth.example/token']"), `upstreams[0].realms[0] "https://auth.example/token" (larder.yaml line 3) is not a host: write it in lower case, with :PORT where it is needed, for example quay.io`},
		{"a broken pattern", hubWith("deny: ['acme/[a']"), `upstreams[0].deny[0] "acme/[a" (larder.yaml line 3) is not a pattern: a [ needs its ], and a \ a character after it`},
		{"a pattern with a tag", hubWith("allow: ['library/nginx:1']"), `upstreams[0].allow[0] "library/nginx:1" (larder.yaml line 3) matches no repository: write lower-case segments parted by single slashes, without registry or tag, for example library/nginx or acme/*`},

		// Limits.
		{"a limit without a window", withFile("pullLimits:\n  anonymous: 100"), `pullLimits.anonymous "100" (larder.yaml line 2) is not a number and a window with a slash between` + limitAdvice},
		{"a limit of nothing", withFile("pullLimits:\n  authenticated: 0/6h"), `pullLimits.authenticated "0/6h" (larder.yaml line 2) has no number between 1 and 1000000000 before the slash` + limitAdvice},
		{"a limit with a window that is none", withFile("pullLimits: {overall: 3000/minute}"), `pullLimits.overall "3000/minute" (larder.yaml line 1) has no window after the slash, which is a duration in whole seconds, from 1s to 744h` + limitAdvice},
		{"a limit that is off", withFile("pullLimits: {serviceAccounts: off}"), `pullLimits.serviceAccounts "off" (larder.yaml line 1) is not a number and a window with a slash between` + limitAdvice},
		{"an unknown limit", withFile("pullLimits: {anonymus: 1/1h}"), `unknown key "pullLimits.anonymus" (larder.yaml line 1): did you mean pullLimits.anonymous?`},
		{"an exception for nobody", withFile("pullLimits:\n  exceptions:\n  - {limit: 1/1h}"), `pullLimits.exceptions[0] (larder.yaml line 3) needs a project or a group, and not both: write for example {group: devs, limit: 1000/6h}`},
		{"an exception for both", withFile("pullLimits:\n  exceptions:\n  - {group: devs, project: demo, limit: 1/1h}"), `pullLimits.exceptions[0] (larder.yaml line 3) needs a project or a group, and not both: write for example {group: devs, limit: 1000/6h}`},
		{"an exception without a limit", withFile("pullLimits: {exceptions: [{group: devs}]}"), `pullLimits.exceptions[0] (larder.yaml line 1) needs a limit: write for example limit: 1000/6h, or limit: unlimited`},
		{"an exception with a limit that is none", withFile("pullLimits: {exceptions: [{group: devs, limit: many}]}"), `pullLimits.exceptions[0].limit "many" (larder.yaml line 1) is not a number and a window with a slash between` + limitAdvice},
		{"an exception for a repository", withFile("pullLimits: {exceptions: [{project: demo/app, limit: 1/1h}]}"), `pullLimits.exceptions[0].project "demo/app" (larder.yaml line 1) is not a project: write its name alone, for example demo`},
		{"two exceptions for one group", withFile("pullLimits:\n  exceptions:\n  - {group: devs, limit: 1/1h}\n  - {group: devs, limit: 2/1h}"), `pullLimits.exceptions[1].group "devs" (larder.yaml line 4) has an exception already: keep one of them`},

		// Credentials.
		{"a password in the file", hubWith("credentials:", "- username: acme", "  password: s3cret"), `upstreams[0].credentials[0].password (larder.yaml line 5) must not stand in the configuration: write the password to a file of its own, and that file's path as passwordFile
upstreams[0].credentials[0] (larder.yaml line 4) needs both a username and a passwordFile`},
		{"a credential without a user name", hubWith("credentials: [{passwordFile: /p}]"), `upstreams[0].credentials[0] (larder.yaml line 3) needs both a username and a passwordFile`},
		{"a password file that is not there", hubWith("credentials: [{username: a, passwordFile: /p}]"), `upstreams[0].credentials[0].passwordFile "/p" (larder.yaml line 3) cannot be read: open /p: file does not exist`},
		{"an empty password file", hubWith("credentials: [{username: a, passwordFile: /p}]").file("/p", "\n"), `upstreams[0].credentials[0].passwordFile (larder.yaml line 3): the file /p is empty`},
		{"a password file of two lines", hubWith("credentials: [{username: a, passwordFile: /p}]").file("/p", "s3cret\ns3cret\n"), `upstreams[0].credentials[0].passwordFile (larder.yaml line 3): the file /p holds more than one line`},
		{"a password file that is too large", hubWith("credentials: [{username: a, passwordFile: /p}]").file("/p", strings.Repeat("s3cret", maxPasswordSize)), `upstreams[0].credentials[0].passwordFile (larder.yaml line 3): the file /p is larger than 65536 bytes`},

		// Several values together.
		{"plain HTTP for other machines", onCommandLine("--listen", "0.0.0.0:5000"), `listen "0.0.0.0:5000" (flag --listen) ` + open},
		{"plain HTTP for other machines on all addresses", inEnvironment("LARDER_LISTEN", ":5000"), `listen ":5000" (environment variable LARDER_LISTEN) ` + open},
		{"plain HTTP for other machines by a name", withFile("mirror: {listen: 'registry.example:80'}"), `mirror.listen "registry.example:80" (larder.yaml line 1) ` + open},
		{"two listeners on one address", onCommandLine("--mirror-listen", "127.0.0.1:5000"), `mirror.listen "127.0.0.1:5000" (flag --mirror-listen) is the address of listen already: give each listener a port of its own`},
		{"a certificate without its key", withFile("listen: ':1'\ntls: {certFile: a}"), `tls (larder.yaml line 2) needs both certFile and keyFile, or neither`},
		{"certificates from two sources", withFile("tls: {certFile: a, keyFile: b, selfSigned: true}"), `tls (larder.yaml line 1) has both selfSigned and certificate files: keep either selfSigned: true, or certFile and keyFile`},
		{"a mirror without Docker Hub", onCommandLine("--mirror-listen=127.0.0.1:1", "--upstream=quay=https://quay.io"), `mirror.listen "127.0.0.1:1" (flag --mirror-listen) needs Docker Hub among the upstreams: list docker.io in the registries of one of them, or name one docker-hub`},
		{"several errors at once", onCommandLine("--listen", "x", "--log-level", "y"), `listen "x" (flag --listen) is not an address: ` + wantAddress + `
log.level "y" (flag --log-level) is not a log level: write debug, info, warn or error`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.given.load(t)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestWhatCannotWorkIsRefusedAndNeverIgnored(t *testing.T) {
	tests := []struct {
		name  string
		given sources
		want  string
	}{
		{"a size of the cache without a unit", withFile("cacheSize: 200"), `cacheSize "200" (larder.yaml line 1) is not a size: write a size with its unit, for example 200GiB, or a share of the disk, for example 80%`},
		{"a size of the cache that is none", withFile("cacheSize: 2x0GiB"), `cacheSize "2x0GiB" (larder.yaml line 1) is not a size: write a size with its unit, for example 200GiB, or a share of the disk, for example 80%`},
		{"a cache of nothing", withFile("cacheSize: 0GiB"), `cacheSize "0GiB" (larder.yaml line 1) is not a size: write a size with its unit, for example 200GiB, or a share of the disk, for example 80%`},
		{"a cache larger than the disk", withFile("cacheSize: 101%"), `cacheSize "101%" (larder.yaml line 1) is not a share of the disk between 1% and 100%: write a size with its unit, for example 200GiB, or a share of the disk, for example 80%`},
		{"a webhook for no host", withFile("kubernetes: {listen: ':8443'}"), "kubernetes.listen \":8443\" (larder.yaml line 1) is for pods whose images are pulled from this registry: set publicURL, so that it is known what they are called"},
		{"pull secrets for no host", withFile("kubernetes: {pullSecrets: true}"), "kubernetes.pullSecrets (larder.yaml line 1) is for pods that pull from this registry: set publicURL, so that it is known what it is called"},
		{"triggers for no host", withFile("kubernetes: {imageTriggers: ['*']}"), "kubernetes.imageTriggers (larder.yaml line 1) is for pods that pull from this registry: set publicURL, so that it is known what it is called"},
		{"triggers of no namespace", withFile("publicURL: https://r.example\nkubernetes: {imageTriggers: [Demo]}"), `kubernetes.imageTriggers[0] "Demo" (larder.yaml line 2) is not the name of a namespace, nor a pattern such as kube-*`},
		{"tokens for anything", withFile("kubernetes: {serviceAccountTokens: true}"), "kubernetes.serviceAccountTokens (larder.yaml line 1) takes tokens that were made for this registry: set kubernetes.audiences to what they are made for, as [registry.example.com]"},
		{"half a certificate of the webhook", withFile("publicURL: https://r.example\nkubernetes: {listen: ':8443', tls: {certFile: /c}}"), "kubernetes.tls (larder.yaml line 2) needs both certFile and keyFile, or neither"},
		{"a secret that is none", withFile("kubernetes: {secret: webhook}"), `kubernetes.secret "webhook" (larder.yaml line 1) is not a secret of a cluster: write NAMESPACE/NAME, for example larder/larder-webhook`},
		{"two certificates of the webhook", withFile("kubernetes: {secret: a/b, tls: {certFile: /c, keyFile: /k}}"), `kubernetes.secret "a/b" (larder.yaml line 1) and kubernetes.tls are two sources of one certificate: keep one of them`},
		{"what opts out is no annotation", withFile("kubernetes: {optOut: {annotations: [a b]}}"), `kubernetes.optOut.annotations[0] "a b" (larder.yaml line 1) is not the key of an annotation: write it like example.com/pull-through-cache`},
		{"what opts out is no namespace", withFile("kubernetes: {optOut: {namespaces: [Kube]}}"), `kubernetes.optOut.namespaces[0] "Kube" (larder.yaml line 1) is not the name of a namespace, nor a pattern such as kube-*`},
		{"what opts out is no kind", withFile("kubernetes: {optOut: {owners: [apps/v1]}}"), `kubernetes.optOut.owners[0] "apps/v1" (larder.yaml line 1) is not a kind of objects with its group: write it like Cluster.postgresql.cnpg.io`},
		{"replicas", withFile("replica:\n  advertise: http://10.0.0.1"), "replica.advertise \"http://10.0.0.1\" (larder.yaml line 2) is for several servers on one database and one storage: set database to a PostgreSQL and storage to an S3 that all of them use, or remove it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.given.load(t)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
