package imports

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/larder-registry/larder/internal/upstream"
)

// ErrNotPublic says that a host is not one that everybody may have the registry ask.
var ErrNotPublic = errors.New("only registries with a public address are asked that are not configured: the operator can make it an upstream whose registries name this host")

// Public is a source for a host that is not configured: it is asked over https, without
// credentials, and only at public addresses, whatever its name, its redirects or its
// token service point to. Otherwise whoever may import could look at the registry's own
// network with its eyes.
func Public(host string, c upstream.Config, metrics *upstream.Metrics, log *slog.Logger) (Source, error) {
	c.Name, c.URL, c.PublicOnly = host, &url.URL{Scheme: "https", Host: host}, true
	remote, err := upstream.New(c, metrics, log)
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrNotPublic, err)
	}
	return Source{Remote: remote, Close: remote.Close}, nil
}
