package s3_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/blob/s3"
)

func TestAnS3URLSaysWhereTheBlobsAre(t *testing.T) {
	tests := []struct {
		name string
		url  string
		want s3.Config
	}{
		{
			"only the bucket is needed", "s3://images",
			s3.Config{Endpoint: &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}, Bucket: "images"},
		},
		{
			"slashes around the prefix mean nothing", "s3://images/larder/blobs/?region=eu-central-1",
			s3.Config{
				Endpoint: &url.URL{Scheme: "https", Host: "s3.amazonaws.com"},
				Bucket:   "images", Prefix: "larder/blobs", Region: "eu-central-1",
			},
		},
		{
			"another service", "s3://images/larder?endpoint=http://127.0.0.1:9000&region=us-east-1&path-style=true",
			s3.Config{
				Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:9000"},
				Bucket:   "images", Prefix: "larder", Region: "us-east-1", PathStyle: true,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s3.ParseURL(tt.url)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			again, err := s3.ParseURL(got.String())
			if diff := cmp.Diff(tt.want, again); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", got, err, diff)
			}
		})
	}
}

func TestAnS3URLThatSaysSomethingElseIsRefusedWithoutShowingSecrets(t *testing.T) {
	for _, text := range []string{
		"", "images", "https://images", "s3:images", "s3:///prefix", "s3://images/a#b",
		"s3://key:hidden@images", "s3://images?secret-key=hidden", "s3://images?secretKey=hidden&region=x",
		"s3://images?region=a&region=b", "s3://images?path-style=perhaps", "s3://images?endpoint=127.0.0.1:9000",
		"s3://images?endpoint=ftp://host", "s3://images?endpoint=http://key:hidden@host", "s3://images?endpoint=http://host/path",
		"s3://images?endpoint=http://%5Bhidden", "s3://images/a//b", "s3://images/../b", "s3://images/a%00b",
		"s3://hidden%zz", "s3://images?%zz=hidden", "s3://images/" + strings.Repeat("a", 513),
	} {
		c, err := s3.ParseURL(text)
		if err == nil {
			t.Errorf("%s is read as %s", text, c)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the error shows it: %v", text, err)
		}
	}
}

func TestAnAddressThatIsNotOneOfS3IsToldAsItWasGiven(t *testing.T) {
	if _, err := s3.ParseURL("https://images/larder?hidden=1"); err == nil || !strings.Contains(err.Error(), `https://images: it does not have the form s3://`) {
		t.Errorf("error is %v", err)
	}
}

func TestAConfigurationIsPrintedWithoutItsKeys(t *testing.T) {
	c := config(t.TempDir())
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		string(asJSON), fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%v", &c),
	} {
		if strings.Contains(printed, c.SecretKey) || strings.Contains(printed, c.AccessKey) || !strings.Contains(printed, bucket) {
			t.Errorf("printed as %s, want the bucket and no keys", printed)
		}
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*s3.Config)
		says   string
	}{
		{"without an endpoint", func(c *s3.Config) { c.Endpoint = nil }, "endpoint"},
		{"without a bucket", func(c *s3.Config) { c.Bucket = "" }, "a bucket is needed"},
		{"without keys", func(c *s3.Config) { c.AccessKey, c.SecretKey = "", "" }, "access key"},
		{"without a secret key", func(c *s3.Config) { c.SecretKey = "" }, "secret key"},
		{"without a folder", func(c *s3.Config) { c.SpoolDir = "" }, "local folder"},
		{"with parts that S3 refuses", func(c *s3.Config) { c.PartSize = 1 << 20 }, "parts of 1048576 bytes"},
		{"with parts that S3 refuses for their size", func(c *s3.Config) { c.PartSize = 5<<30 + 1 }, "parts of"},
		{"with a negative time", func(c *s3.Config) { c.Stall = -time.Second }, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t.TempDir())
			tt.change(&c)
			if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want one that says %q", err, tt.says)
			}
		})
	}
}
