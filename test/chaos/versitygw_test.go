package chaos_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	miniokeys "github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/larder-registry/larder/internal/testkit"
)

// The one bucket of the S3 of the tests, and its keys.
const (
	s3Bucket    = "larder"
	s3AccessKey = "test-access"
	s3SecretKey = "test-secret-never-printed"
)

// startVersitygw starts an S3 with an empty bucket until the test ends, and returns
// the query of a storage's URL that leads to it.
func startVersitygw(t *testing.T) (query string) {
	t.Helper()
	program, err := testkit.Tool{Name: "versitygw", Source: "github.com/versity/versitygw/cmd/versitygw", Version: "v1.8.0"}.Program()
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	process := exec.Command(program, "--quiet", "--port", address, "--region", "us-east-1", "posix", t.TempDir())
	process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3AccessKey, "ROOT_SECRET_KEY="+s3SecretKey)
	process.Stdout, process.Stderr = &output, &output
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait() // it was killed
	})
	client, err := minio.New(address, &minio.Options{
		Creds: miniokeys.NewStaticV4(s3AccessKey, s3SecretKey, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for client.MakeBucket(ctx, s3Bucket, minio.MakeBucketOptions{}) != nil {
		if ctx.Err() != nil {
			t.Fatal("versitygw was not ready in a minute")
		}
	}
	return url.Values{"path-style": {"true"}, "region": {"us-east-1"}, "endpoint": {"http://" + address}}.Encode()
}
