// Package s3test starts the implementations of S3 that tests talk to, and a proxy that
// makes them fail.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/larder-registry/larder/internal/testkit"
)

const (
	startLimit = time.Minute
	// maxStarts bounds how often it is tried on another port, as another process may have
	// taken one that was free.
	maxStarts = 3
)

// What every service has.
const (
	Bucket    = "larder"
	Region    = "us-east-1"
	AccessKey = "test-access"
	SecretKey = "test-secret-never-printed"
)

// Service is one implementation of S3, run as a program of its own on 127.0.0.1, with
// one bucket.
type Service struct {
	Name     string
	Endpoint *url.URL
	Client   *minio.Client // as the service's owner

	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended; nil: it was not started
	folder  string
	output  bytes.Buffer // complete once the process has ended
}

// Versitygw starts versitygw, which keeps objects as files.
func Versitygw() (*Service, error) {
	return start(testkit.Tool{Name: "versitygw", Source: "github.com/versity/versitygw/cmd/versitygw", Version: "v1.8.0"},
		func(address, folder string) []string {
			return []string{"--quiet", "--port", address, "--region", Region, "posix", folder}
		}, "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
}

// MinIO starts MinIO, which is stricter in some things and more lenient in others.
func MinIO() (*Service, error) {
	return start(testkit.Tool{Name: "minio", Source: "github.com/minio/minio", Version: "v0.0.0-20260212201848-7aac2a2c5b7c"},
		func(address, folder string) []string {
			return []string{"server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", folder}
		}, "MINIO_ROOT_USER="+AccessKey, "MINIO_ROOT_PASSWORD="+SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
}

func start(t testkit.Tool, arguments func(address, folder string) []string, environment ...string) (*Service, error) {
	for starts := 1; ; starts++ {
		s := &Service{Name: t.Name}
		err := s.start(t, arguments, environment)
		if err == nil {
			return s, nil
		}
		s.Stop()
		if starts == maxStarts || !strings.Contains(s.output.String(), "already in use") {
			return nil, fmt.Errorf("starting %s: %w\n%s", t.Name, err, s.output.Bytes())
		}
	}
}

func (s *Service) start(t testkit.Tool, arguments func(address, folder string) []string, environment []string) (err error) {
	program, err := t.Program()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "larder-s3-"); err != nil {
		return err
	}
	address, err := testkit.FreeAddress()
	if err != nil {
		return err
	}
	s.Endpoint = &url.URL{Scheme: "http", Host: address}
	s.process = exec.Command(program, arguments(address, s.folder)...)
	s.process.Env = append(os.Environ(), environment...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(context.Background(), startLimit, fmt.Errorf("it is not ready after %s", startLimit))
	defer cancel()
	ctx, end := context.WithCancelCause(limited)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.process.Wait() // what it printed tells more
		end(errors.New("it has ended"))
	}()
	s.Client, err = minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return err
	}
	for {
		err = s.Client.MakeBucket(ctx, Bucket, minio.MakeBucketOptions{})
		if cause := context.Cause(ctx); cause != nil {
			return errors.Join(cause, err)
		}
		if err == nil {
			return nil
		}
	}
}

// StorageURL is how Larder's configuration names a folder of the bucket.
func (s *Service) StorageURL(folder string) string {
	query := url.Values{"path-style": {"true"}, "region": {Region}, "endpoint": {s.Endpoint.String()}}
	return "s3://" + Bucket + "/" + folder + "?" + query.Encode()
}

// Rot changes a byte of an object where versitygw keeps it, so that the service does not
// know of it: its entity tag stays.
func (s *Service) Rot(key string) error {
	name := filepath.Join(s.folder, Bucket, filepath.FromSlash(key))
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	return errors.Join(err, f.Close())
}

// Stop ends the service and removes what it holds. A second call does nothing.
func (s *Service) Stop() {
	if s.ended != nil {
		_ = s.process.Process.Kill() // it may have ended already
		<-s.ended
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}
