package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"
)

const (
	buildLimit = 10 * time.Minute
	startLimit = time.Minute

	bucket    = "larder"
	region    = "us-east-1"
	accessKey = "test-access"
	secretKey = "test-secret-never-printed"
)

// service is one implementation of S3, which all tests of the package share.
type service struct {
	tool
	arguments   func(address, folder string) []string
	environment []string

	endpoint *url.URL
	client   *minio.Client
	process  *exec.Cmd
	folder   string
	output   bytes.Buffer
}

var (
	versitygw = service{
		tool: tool{"versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"},
		arguments: func(address, folder string) []string {
			return []string{"--quiet", "--port", address, "--region", region, "posix", folder}
		},
		environment: []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
	}
	minIO = service{
		tool: tool{"minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"},
		arguments: func(address, folder string) []string {
			return []string{"server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", folder}
		},
		environment: []string{"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
	}
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	for _, s := range []*service{&versitygw, &minIO} {
		defer s.stop()
		if err := s.start(); err != nil {
			fmt.Fprintf(os.Stderr, "starting %s: %v\n%s", s.name, err, s.output.Bytes())
			return 1
		}
	}
	code = m.Run()
	versitygw.stop()
	minIO.stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (s *service) start() (err error) {
	program, err := s.program()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "larder-s3-"); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.endpoint = &url.URL{Scheme: "http", Host: address}
	s.process = exec.Command(program, s.arguments(address, s.folder)...)
	s.process.Env = append(os.Environ(), s.environment...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return err
	}
	s.client, err = minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		if err = s.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("not ready after %s: %w", startLimit, err)
		}
	}
}

// stop ends the service. A second call does nothing.
func (s *service) stop() {
	if s.process != nil && s.process.Process != nil && s.process.ProcessState == nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait() // it was killed
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tool is a program that tests need, built from its module.
type tool struct{ name, source, version string }

// program is the tool's path. It is built once for each version into the user's
// cache: that takes minutes.
func (t tool) program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	tools := filepath.Join(cache, "larder-test-tools")
	program := filepath.Join(tools, t.name+"@"+t.version, t.name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o750); err != nil {
		return "", err
	}
	// Built aside and renamed, since other tests may do the same.
	aside, err := os.MkdirTemp(tools, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(aside) }()
	if err := t.build(aside); err != nil {
		return "", err
	}
	return program, os.Rename(filepath.Join(aside, t.name), program)
}

func (t tool) build(folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	command := []string{"go", "install", t.source + "@" + t.version}
	if nice, err := exec.LookPath("nice"); err == nil {
		command = append([]string{nice}, command...)
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "GOWORK=off")
	c.Dir = folder
	output, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", command, errors.Join(err, ctx.Err()), output)
	}
	return nil
}
