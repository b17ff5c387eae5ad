package s3test

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Wire is the network between a store and S3. Proxy knows of requests and answers; a
// wire does to the bytes of connections what networks do.
type Wire struct{ proxy *toxiproxy.Proxy }

// NewWire lays a wire to a service. It is to be closed.
func NewWire(to *url.URL) (*Wire, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "s3", "127.0.0.1:0", to.Host)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("laying a wire to %s: %w", to.Host, err)
	}
	return &Wire{proxy}, nil
}

// Endpoint is the wire's near end.
func (w *Wire) Endpoint() *url.URL { return &url.URL{Scheme: "http", Host: w.proxy.Listen} }

// Poison does to the wire what a toxic of toxiproxy says, in its JSON, in addition to
// those before. It hits connections that are open, too.
func (w *Wire) Poison(toxic string) error {
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("poisoning the wire with %s: %w", toxic, err)
	}
	return nil
}

// Heal takes all of that back.
func (w *Wire) Heal() { w.proxy.Toxics.ResetToxics(context.Background()) }

// Close cuts the wire.
func (w *Wire) Close() { w.proxy.Stop() }
