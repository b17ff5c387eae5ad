package s3

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of one part of a multipart upload in bytes, and of their number, as
// Amazon S3 has them.
const (
	minPartSize = 5 << 20
	maxPartSize = 5 << 30
	maxParts    = 10_000
)

const (
	defaultPartSize = 16 << 20
	defaultStall    = time.Minute
	defaultTries    = 10
	defaultEndpoint = "https://s3.amazonaws.com"
	maxPrefixLength = 512
)

// Config says where the blobs are kept and how they are reached. Printed or
// logged, it shows everything but the keys.
type Config struct {
	// Endpoint is the URL of the S3 API, http or https, without a path.
	Endpoint *url.URL
	Bucket   string
	// Prefix is what the key of every object begins with, without slashes at its
	// ends. Empty means that the whole bucket is the store's.
	Prefix string
	// Region is asked for when it is empty.
	Region string
	// PathStyle puts the bucket into the path. Otherwise it is a part of the host
	// name where the endpoint is known to want that, and in the path elsewhere.
	PathStyle bool
	AccessKey string `json:"-"`
	SecretKey string `json:"-"`
	// SpoolDir is a local folder for what has not gone up yet: two parts for each
	// upload that runs, and each spool whole. What is in it has no names, so that
	// nothing is left by a crash. It is made when it is missing.
	SpoolDir string
	// PartSize is the size of the first parts in bytes, 5 MiB to 5 GiB; 0 means
	// 16 MiB.
	PartSize int64
	// Stall is how long a request may make no progress before it is tried
	// again; 0 means a minute.
	Stall time.Duration
	// Tries is how often a request is sent before its failure is an error, within some
	// seconds in all; 0 means 10.
	Tries int
	// Records remembers the multipart uploads that were begun; nil means that nobody
	// does, and that SweepStrays finds none.
	Records Records `json:"-"`
}

// ParseURL reads s3://BUCKET/PREFIX?endpoint=URL&region=REGION&path-style=true.
// All but the bucket may be left out; the endpoint is then that of Amazon. Keys
// have no place in it.
func ParseURL(text string) (Config, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The text itself may hold a secret.
		return Config{}, errors.New("the address of the object storage is not a URL: write s3://BUCKET/PREFIX?endpoint=URL")
	}
	c, err := configOf(u)
	if err != nil {
		return Config{}, fmt.Errorf("the address of the object storage, %.80s: %w", cmp.Or(u.Scheme, "s3")+"://"+u.Host, err)
	}
	return c, nil
}

func configOf(u *url.URL) (Config, error) {
	if u.Scheme != "s3" || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return Config{}, errors.New("it does not have the form s3://BUCKET/PREFIX?endpoint=URL")
	}
	if u.User != nil {
		return Config{}, errors.New("keys do not belong into it: remove what is before the @")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, errors.New("what follows the ? cannot be read: write endpoint=URL&region=REGION&path-style=true")
	}
	for name, values := range query {
		if !slices.Contains([]string{"endpoint", "region", "path-style"}, name) || len(values) != 1 {
			return Config{}, fmt.Errorf("%.40q is none of endpoint, region and path-style, or is there twice", name)
		}
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: query.Get("region")}
	if c.Endpoint, err = endpointOf(query.Get("endpoint")); err != nil {
		return Config{}, err
	}
	if style := query.Get("path-style"); style != "" {
		if c.PathStyle, err = strconv.ParseBool(style); err != nil {
			return Config{}, fmt.Errorf("path-style is %.40q: write true or false", style)
		}
	}
	return c, c.checkPlace()
}

func endpointOf(text string) (*url.URL, error) {
	if text == "" {
		text = defaultEndpoint
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the endpoint is not a URL: write https://HOST or http://HOST:PORT")
	}
	return u, nil
}

// checkPlace checks what says where the blobs are.
func (c Config) checkPlace() error {
	if e := c.Endpoint; e == nil || e.Host == "" || e.Scheme != "https" && e.Scheme != "http" ||
		e.User != nil || e.RawQuery != "" || strings.Trim(e.Path, "/") != "" {
		return errors.New("the endpoint has to be https://HOST or http://HOST:PORT and nothing more")
	}
	if c.Bucket == "" {
		return errors.New("a bucket is needed")
	}
	if c.Prefix == "" {
		return nil
	}
	if len(c.Prefix) > maxPrefixLength {
		return fmt.Errorf("the prefix is longer than %d bytes", maxPrefixLength)
	}
	for part := range strings.SplitSeq(c.Prefix, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, unprintable) {
			return errors.New("the prefix may not have empty parts, the parts . and .., or control characters")
		}
	}
	return nil
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// complete checks the configuration and fills in the defaults.
func (c Config) complete() (Config, error) {
	if err := c.checkPlace(); err != nil {
		return c, err
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return c, errors.New("an access key and a secret key are needed")
	}
	if c.SpoolDir == "" {
		return c, errors.New("a local folder is needed for what has not gone up yet")
	}
	if c.PartSize == 0 {
		c.PartSize = defaultPartSize
	}
	if c.PartSize < minPartSize || c.PartSize > maxPartSize {
		return c, fmt.Errorf("parts of %d bytes: S3 takes %d to %d", c.PartSize, minPartSize, int64(maxPartSize))
	}
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
	if c.Tries == 0 {
		c.Tries = defaultTries
	}
	if c.Stall < 0 || c.Tries < 0 {
		return c, errors.New("the time that a request may stall, or the number of tries, is negative")
	}
	if c.Records == nil {
		c.Records = noRecords{}
	}
	return c, nil
}

// String is the URL that ParseURL reads.
func (c Config) String() string {
	query := url.Values{}
	if c.Endpoint != nil {
		query.Set("endpoint", c.Endpoint.Redacted())
	}
	if c.Region != "" {
		query.Set("region", c.Region)
	}
	if c.PathStyle {
		query.Set("path-style", "true")
	}
	u := url.URL{Scheme: "s3", Host: c.Bucket, Path: "/" + c.Prefix, RawQuery: query.Encode()}
	return u.String()
}

// GoString keeps %#v from showing the keys.
func (c Config) GoString() string { return strconv.Quote(c.String()) }
