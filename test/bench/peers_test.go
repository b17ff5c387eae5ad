package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-registry/larder/internal/testkit"
)

// server is a running peer and the URL that its registry or files lie under.
type server struct {
	name, url string
	process   int
}

// launch starts a program in the background and waits until its port answers. The
// benchmark's end stops it.
func launch(b *testing.B, name, address string, command ...string) server {
	b.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		b.Fatalf("%s is needed for comparison: install Debian's docker-registry and nginx: %v", command[0], err)
	}
	log, err := os.Create(filepath.Join(b.TempDir(), name+".log"))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "LARDER_ADMIN_PASSWORD="+password)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
			return server{name: name, url: "http://" + address, process: cmd.Process.Pid}
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not listen on %s: %v", name, address, err)
		}
	}
}

// processor is the time that the server has spent on processors, in programs and in the
// kernel, to the nanosecond: what clock_getcpuclockid(3) makes of a process is its clock.
func (s server) processor(b *testing.B) time.Duration {
	b.Helper()
	const all = 2 // CPUCLOCK_SCHED of Linux: of all threads, also of those that have ended
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^s.process<<3|all), &spent); err != nil {
		b.Fatal(err)
	}
	return time.Duration(spent.Nano())
}

const password = "bench-password"

// larder is the program of this module, as a cache of an upstream or as its configuration
// says.
func larder(b *testing.B, upstream string, more ...string) server {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "larder")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../../cmd/larder")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building larder: %v\n%s", err, out)
	}
	address := testkit.NewAddress(b)
	args := append([]string{binary, "serve", "--listen", address, "--data", filepath.Join(b.TempDir(), "data"), "--log-level", "warn"}, more...)
	if upstream != "" {
		args = append(args, "--upstream", "docker-hub="+upstream)
	}
	return launch(b, "larder", address, args...)
}

// distribution is Debian's docker-registry, as a cache of an upstream or hosting.
func distribution(b *testing.B, upstream string) server {
	b.Helper()
	address := testkit.NewAddress(b)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, cache: {blobdescriptor: inmemory}, delete: {enabled: true}}\nhttp: {addr: %s}\n", b.TempDir(), address)
	if upstream != "" {
		config += "proxy: {remoteurl: " + upstream + "}\n"
	}
	return launch(b, "docker-registry", address, "docker-registry", "serve", writeFile(b, "registry.yml", config))
}

// nginx serves a folder of files.
func nginx(b *testing.B, folder string) server {
	b.Helper()
	address := testkit.NewAddress(b)
	state := b.TempDir()
	config := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes auto; user root;
events {}
http { sendfile on; tcp_nopush on; access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen %[2]s; root %[3]s; } }`, state, address, folder)
	return launch(b, "nginx", address, "nginx", "-c", writeFile(b, "nginx.conf", config))
}

func writeFile(b *testing.B, name, content string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// fetch reads one answer to its end and returns its length in bytes.
func fetch(ctx context.Context, client *http.Client, url string) (int64, error) {
	return send(ctx, client, http.MethodGet, url)
}

func send(ctx context.Context, client *http.Client, method, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return n, err
}
