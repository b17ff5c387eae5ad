package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// LedgerCall is one request to an upstream.
type LedgerCall struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Credential string    `json:"credential" doc:"The user name, or anonymous"`
	Kind       string    `json:"kind" enum:"manifest_get,manifest_head,blob,blob_head,tags,referrers,base,token,redirect" doc:"manifest_get is what Docker Hub counts; base is the version check, redirect what an answer pointed to"`
	Repository string    `json:"repository,omitempty" doc:"By its name upstream"`
	Reference  string    `json:"reference,omitempty"`
	Status     int       `json:"status,omitempty" doc:"Absent when there was no answer"`
	Bytes      int64     `json:"bytes"`
	Counted    bool      `json:"counted" doc:"It is a pull by requests"`
	Image      bool      `json:"image" doc:"It is a pull by architecture: a manifest of one"`
	Remaining  *int64    `json:"remaining,omitempty" doc:"Pulls left, as the answer said; absent when it told of no limit"`
	Source     string    `json:"source,omitempty" doc:"Whom the upstream charges"`
	User       string    `json:"user,omitempty" doc:"Absent for a stranger"`
	Project    string    `json:"project" doc:"That of the service account, or the cache project"`
	Client     string    `json:"client,omitempty" doc:"IPv4 address or IPv6 /64 of who asked"`
	Namespace  string    `json:"namespace,omitempty" doc:"Of the cluster that the image is likely for, where the webhook has told it"`
	Workload   string    `json:"workload,omitempty"`
	Certainty  string    `json:"certainty" enum:"certain,likely" doc:"certain: the user was logged in; likely: it was inferred"`
}

// LedgerSum is what calls come to that have something in common.
type LedgerSum struct {
	Key          string `json:"key" doc:"Empty for strangers, and where no namespace is known"`
	Pulls        int64  `json:"pulls" doc:"By requests"`
	Images       int64  `json:"images" doc:"Pulls by architecture"`
	Unmetered    int64  `json:"unmetered" doc:"Those of the pulls that cost nothing"`
	CertainPulls int64  `json:"certainPulls" doc:"Those of the pulls whose user was logged in; namespaces were inferred, so that by namespace it is 0"`
	Checks       int64  `json:"checks" doc:"Of manifests, which are not counted"`
	Blobs        int64  `json:"blobs"`
	Tokens       int64  `json:"tokens"`
	Refused      int64  `json:"refused" doc:"Calls that the upstream answered 429"`
	Calls        int64  `json:"calls" doc:"Of all kinds"`
	Bytes        int64  `json:"bytes"`
}

// LedgerPage is a page of calls, the newest first, or all sums, the most pulls first.
type LedgerPage struct {
	Calls []LedgerCall `json:"calls,omitempty"`
	Next  string       `json:"next,omitempty" doc:"Ask for the next page of calls with after=NEXT; absent on the last page"`
	Sums  []LedgerSum  `json:"sums,omitempty"`
	Hours bool         `json:"hours,omitempty" doc:"The sums are of whole hours, since single calls are not kept for that long"`
}

type ledgerInput struct {
	Credentials
	Name  string    `path:"name" doc:"The upstream's"`
	By    string    `query:"by" enum:"user,project,image,namespace,client" doc:"Add up by this; else calls are told one by one"`
	Since time.Time `query:"since" doc:"None that are older"`
	After string    `query:"after" pattern:"^[0-9]{1,18}$" doc:"The next of the page before"`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type ledgerOutput struct{ Body LedgerPage }

func (s *service) registerLedger(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-ledger", Method: http.MethodGet, Path: "/api/v1/upstreams/{name}/ledger", Tags: []string{"upstreams"},
		Summary: "Tell what an upstream was asked for, and by whom", Errors: []int{http.StatusForbidden, http.StatusNotFound},
		Description: "Single calls are kept for 30 days unless it is configured, sums of hours for 400 days.",
	}, s.getLedger)
}

func (s *service) getLedger(ctx context.Context, who caller, in *ledgerInput) (*ledgerOutput, error) {
	if err := s.permit(ctx, who, authz.GetLedger, authz.Target{}); err != nil {
		return nil, err
	}
	var page LedgerPage
	var err error
	if in.By != "" {
		page, err = s.ledgerSums(ctx, in)
	} else {
		page, err = s.ledgerCalls(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	if len(page.Calls)+len(page.Sums) == 0 && !s.Ledger.Configured(in.Name) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("there is no upstream %.100q, and nothing is booked of one: larder upstream status lists those that are configured", in.Name))
	}
	return &ledgerOutput{Body: page}, nil
}

func (s *service) ledgerCalls(ctx context.Context, in *ledgerInput) (page LedgerPage, err error) {
	q := metadata.LedgerQuery{Upstream: in.Name, Since: in.Since, Limit: in.Limit + 1}
	q.Before, _ = strconv.ParseInt(in.After, 10, 64) // zero begins with the newest
	all, err := s.Ledger.Calls(ctx, q)
	if err != nil {
		return LedgerPage{}, err
	}
	all, page.Next = paged(all, in.Limit, func(c metadata.LedgerCall) string { return strconv.FormatInt(c.ID, 10) })
	for _, c := range all {
		page.Calls = append(page.Calls, ledgerCall(c))
	}
	return page, nil
}

func ledgerCall(c metadata.LedgerCall) LedgerCall {
	shown := LedgerCall{
		ID: strconv.FormatInt(c.ID, 10), At: c.At, Credential: c.Credential, Kind: c.Kind, Repository: c.Repository, Reference: c.Reference,
		Status: c.Status, Bytes: c.Bytes, Counted: c.Counted, Image: c.Image, User: c.User, Project: c.Project, Client: c.Client,
		Namespace: c.Namespace, Workload: c.Workload, Certainty: "likely",
	}
	if c.Certain {
		shown.Certainty = "certain"
	}
	if c.Rate != nil {
		shown.Remaining, shown.Source = &c.Rate.Remaining, c.Rate.Source
	}
	return shown
}

func (s *service) ledgerSums(ctx context.Context, in *ledgerInput) (page LedgerPage, err error) {
	keys := map[string]metadata.LedgerKey{
		"user": metadata.LedgerUser, "project": metadata.LedgerProject, "image": metadata.LedgerImage,
		"namespace": metadata.LedgerNamespace, "client": metadata.LedgerClient,
	}
	all, hours, err := s.Ledger.Sums(ctx, in.Name, keys[in.By], in.Since, in.Limit)
	if err != nil {
		return LedgerPage{}, err
	}
	page.Hours = hours
	for _, sum := range all {
		page.Sums = append(page.Sums, LedgerSum{
			Key: sum.Key, Pulls: sum.Pulls, Images: sum.Images, Unmetered: sum.Pulls - sum.Metered, CertainPulls: sum.Certain,
			Checks: sum.Checks, Blobs: sum.Blobs, Tokens: sum.Tokens, Refused: sum.Refused, Calls: sum.Calls, Bytes: sum.Bytes,
		})
	}
	return page, nil
}
