package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// listAll reads a list of the API to its last page; split takes a page apart.
func listAll[P, T any](ctx context.Context, c *client, path string, query url.Values, split func(P) (items []T, next string)) ([]T, error) {
	all := []T{}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "1000")
	for after := ""; ; {
		query.Set("after", after)
		var page P
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		items, next := split(page)
		all = append(all, items...)
		if next == "" || next == after {
			return all, nil
		}
		after = next
	}
}

// listFirst reads a list of the API until it has so many items; split takes a page apart.
func listFirst[P, T any](ctx context.Context, c *client, path string, query url.Values, limit int, split func(P) (items []T, next string)) ([]T, error) {
	const page = 1000
	all := []T{}
	for len(all) < limit {
		var some P
		query.Set("limit", strconv.Itoa(min(limit-len(all), page)))
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &some); err != nil {
			return nil, err
		}
		items, next := split(some)
		all = append(all, items...)
		if next == "" || len(items) == 0 {
			break
		}
		query.Set("after", next)
	}
	return all, nil
}
