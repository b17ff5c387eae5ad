package kube

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
)

// errWatchEnded says that the API server wants a watch to be begun anew.
var errWatchEnded = errors.New("the API server has ended the watch")

// Watch calls changed for each object of a list that is there, and for each change of one,
// until the API server ends it, which it does every few minutes. The answer is never nil.
func (c *Cluster) Watch(ctx context.Context, path, selector string, changed func()) error {
	query := url.Values{"watch": {"true"}}
	if selector != "" {
		query.Set("labelSelector", selector)
	}
	path += "?" + query.Encode()
	stream, err := c.client.Get().RequestURI(path).SetHeader("Accept", "application/json").Stream(ctx)
	if err != nil {
		return c.failure("watching", path, err)
	}
	defer func() { _ = stream.Close() }()
	events := json.NewDecoder(stream)
	for {
		var event struct {
			Type string `json:"type"`
		}
		if err := events.Decode(&event); err != nil {
			return c.failure("watching", path, err)
		}
		if event.Type == "ERROR" {
			return c.failure("watching", path, errWatchEnded)
		}
		changed()
	}
}
