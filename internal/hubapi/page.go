package hubapi

import (
	"net/http"
	"net/url"
	"strconv"
)

const (
	// pageSize is how many results a page has when the client does not say, and
	// maxPageSize the most, as on Docker Hub.
	pageSize, maxPageSize = 10, 100
	// maxListed bounds how many results one list is counted and turned over to.
	maxListed = 10_000
)

// page is which part of a list is asked for, from 1.
type page struct {
	number, size int
	url          url.URL
}

// list is one page in Docker Hub's form.
type list[T any] struct {
	Count    int     `json:"count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []T     `json:"results"`
}

func parsePage(from *url.URL) (page, error) {
	p := page{number: 1, size: pageSize, url: *from}
	for name, to := range map[string]*int{"page": &p.number, "page_size": &p.size} {
		if !from.Query().Has(name) {
			continue
		}
		n, err := strconv.Atoi(from.Query().Get(name))
		if err != nil || n < 1 {
			return page{}, &failure{http.StatusBadRequest, name + " is a number from 1"}
		}
		*to = min(n, maxListed)
	}
	p.size = min(p.size, maxPageSize)
	return p, nil
}

// bounds are those of the page in a list of n.
func (p page) bounds(n int) (from, to int) {
	from = min((p.number-1)*p.size, n)
	return from, min(from+p.size, n)
}

// listOf is the page of a list of n whose results are here. The links are paths: behind a
// proxy only the client knows the registry's address.
func listOf[T any](p page, n int, results []T) list[T] {
	l := list[T]{Count: n, Results: results}
	if results == nil {
		l.Results = []T{}
	}
	if p.number*p.size < n {
		l.Next = p.link(p.number + 1)
	}
	if p.number > 1 {
		l.Previous = p.link(p.number - 1)
	}
	return l
}

func (p page) link(number int) *string {
	query := p.url.Query()
	query.Set("page", strconv.Itoa(number))
	to := p.url.EscapedPath() + "?" + query.Encode()
	return &to
}
