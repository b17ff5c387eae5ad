package kube

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
)

// errWatchEnded says that the API server wants a watch to be begun anew.
var errWatchEnded = errors.New("the API server has ended the watch")

// Event is of an object that is there, was changed, or has gone.
type Event struct {
	Gone   bool
	Object json.RawMessage
}

// Watch tells of each object of a list that is there, and of each change of one, until the
// API server ends it, which it does every few minutes. The answer is never nil.
func (c *Cluster) Watch(ctx context.Context, path, selector string, tell func(Event)) error {
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
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return c.failure("watching", path, err)
		}
		if event.Type == "ERROR" {
			return c.failure("watching", path, errWatchEnded)
		}
		tell(Event{Gone: event.Type == "DELETED", Object: event.Object})
	}
}
