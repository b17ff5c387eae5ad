package server

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// defaultHot bounds the hot blobs that are kept locally, in bytes, and
	// defaultHotPercent too, as a part of the disk.
	defaultHot        = 10 << 30
	defaultHotPercent = 10
	hotFolder         = "hot"
)

// Storage is object storage and how it is used.
type Storage struct {
	s3.Config
	// Hot bounds the blobs that are also kept on the local disk, in bytes: 0 keeps none,
	// and -1 is 10 GiB or a tenth of the disk, whichever is less.
	Hot int64
	// Redirect sends clients to the object storage for the blobs of hosted projects.
	Redirect bool
}

// parseStorage reads s3.ParseURL's form with two more settings, hot=SIZE and
// redirect=true.
func parseStorage(text string) (*Storage, error) {
	s := &Storage{Hot: -1}
	place, query, _ := strings.Cut(text, "?")
	var rest []string
	for setting := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(setting, "=")
		if name != "hot" && name != "redirect" {
			rest = append(rest, setting)
			continue
		}
		if err := s.set(name, value); err != nil {
			return nil, err
		}
	}
	if left := strings.Join(rest, "&"); left != "" {
		place += "?" + left
	}
	c, err := s3.ParseURL(place)
	s.Config = c
	return s, err
}

func (s *Storage) set(name, text string) error {
	value, err := url.QueryUnescape(text)
	if err != nil {
		return fmt.Errorf("%s is %.40q: a %% stands for itself as %%25", name, text)
	}
	switch {
	case name == "redirect":
		if s.Redirect, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("redirect is %.40q: write true or false", value)
		}
	case value == "0":
		s.Hot = 0
	default:
		if s.Hot, err = oci.ParseSize(value); err != nil {
			return fmt.Errorf("hot is %.40q: write a size with its unit, for example 10GiB, or 0 for none", value)
		}
	}
	return nil
}

// hotSize is how many bytes of hot blobs are kept in the data folder.
func (s *Storage) hotSize(data string) (int64, error) {
	if s.Hot >= 0 {
		return s.Hot, nil
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Clean(data), &disk); err != nil {
		return 0, fmt.Errorf("looking for the size of the disk that holds %s: %w", data, err)
	}
	size := int64(disk.Blocks) * int64(disk.Bsize)
	return min(defaultHot, size/100*defaultHotPercent), nil
}

// String is the URL that parseStorage reads.
func (s Storage) String() string {
	text := s.Config.String()
	join := func(setting string) {
		if strings.Contains(text, "?") {
			text += "&" + setting
		} else {
			text += "?" + setting
		}
	}
	switch {
	case s.Hot > 0:
		join(fmt.Sprintf("hot=%dB", s.Hot))
	case s.Hot == 0:
		join("hot=0")
	}
	if s.Redirect {
		join("redirect=true")
	}
	return text
}

// GoString keeps %#v from showing the keys.
func (s Storage) GoString() string { return strconv.Quote(s.String()) }
