package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// errNo is the answer no, which has been printed.
var errNo = errors.New("no")

func newAuthCommand() *cobra.Command {
	return newVerbCommand("auth", "do", "Ask who may do what", newCanICommand(), newExplainAccessCommand())
}

// addAsFlags adds whom a question is about.
func addAsFlags(cmd *cobra.Command, r *api.AccessReviewRequest) {
	cmd.Flags().StringVar(&r.User, "as", "", "ask for this user")
	cmd.Flags().StringArrayVar(&r.Groups, "as-group", nil, "ask for a member of this group")
}

func newCanICommand() *cobra.Command {
	var request api.AccessReviewRequest
	var everywhere, quiet bool
	var subresource string
	cmd := &cobra.Command{
		Use:   "can-i VERB RESOURCE [NAME]",
		Short: "Ask whether you may do something; the exit status is 1 for no",
		Example: `  larder auth can-i get imagestreams/layers -n demo
  larder auth can-i update imagestreams/layers centos --as system:anonymous -n demo
  larder auth can-i create projectrequests -A`,
		Args: usageArgs(cobra.RangeArgs(2, 3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := request, error(nil)
			if asked.Verb, asked.Resource, asked.Name, err = parseQuestion(args, subresource); err != nil {
				return err
			}
			if !everywhere {
				if asked.Project, err = namespace(cmd); err != nil {
					return err
				}
			}
			review, err := reviewAccess(cmd, asked)
			if err != nil {
				return err
			}
			answer := "no"
			if review.Allowed {
				answer = "yes"
			}
			if !quiet {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), answer); err != nil {
					return err
				}
			}
			if !review.Allowed {
				return errNo
			}
			return nil
		},
	}
	addAsFlags(cmd, &request)
	cmd.Flags().StringVar(&subresource, "subresource", "", "of the resource, this part, as in layers")
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "ask for all projects, and for what belongs to none")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing; the exit status tells")
	return cmd
}

// parseQuestion reads VERB RESOURCE [NAME], where the name may follow the resource as
// kubectl has it, TYPE/NAME, and the subresource may have a flag of its own.
func parseQuestion(args []string, subresource string) (verb, resource, name string, err error) {
	verb, resource = args[0], args[1]
	if right := map[string]string{"pull": "get", "push": "update"}[verb]; right != "" {
		return "", "", "", usagef("to %s is %s on imagestreams/layers: larder auth can-i %[2]s imagestreams/layers NAME", verb, right)
	}
	if subresource != "" {
		resource, name, _ = strings.Cut(resource, "/")
		resource += "/" + subresource
	}
	if len(args) == 3 {
		return verb, resource, args[2], nil
	}
	if name != "" {
		return verb, resource, name, nil
	}
	base, rest, named := strings.Cut(resource, "/")
	if !named || rest == layers || !strings.HasPrefix(base, "imagestream") {
		return verb, resource, "", nil
	}
	if repository, ok := strings.CutPrefix(rest, layers+"/"); ok {
		return verb, base + "/" + layers, repository, nil
	}
	return verb, base, rest, nil
}

// layers is the only subresource of image streams that is asked about.
const layers = "layers"

func newExplainAccessCommand() *cobra.Command {
	request := api.AccessReviewRequest{Verb: "get", Resource: "imagestreams/layers"}
	output := formatTable
	cmd := &cobra.Command{
		Use:   "explain PROJECT/REPOSITORY",
		Short: "Tell which binding lets somebody pull an image, or that none does",
		Example: `  larder auth explain demo/centos --as bob
  larder auth explain demo/centos --as bob --verb update`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := request
			asked.Project, asked.Name, _ = strings.Cut(args[0], "/")
			review, err := reviewAccess(cmd, asked)
			if err != nil {
				return err
			}
			if output != formatTable {
				return newListing(cmd, output, "accessreview").print(review, table{})
			}
			answer := "no"
			if review.Allowed {
				answer = "yes"
			}
			lines := append([]string{answer}, review.Reasons...)
			if review.Command != "" {
				lines = append(lines, "its owner can run "+review.Command)
			}
			for _, line := range lines {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), printable(line)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addAsFlags(cmd, &request)
	cmd.Flags().StringVar(&request.Verb, "verb", request.Verb, "what is done: get is to pull, update is to push")
	cmd.Flags().StringVar(&request.Resource, "resource", request.Resource, "what it is done to")
	addOutputFlag(cmd, &output)
	return cmd
}

func reviewAccess(cmd *cobra.Command, asked api.AccessReviewRequest) (review api.AccessReview, err error) {
	c, _, err := currentClient()
	if err != nil {
		return review, err
	}
	err = c.call(cmd.Context(), http.MethodPost, "/api/v1/accessreviews", asked, &review)
	return review, err
}

// orAll names all where a list names none.
func orAll(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return joined(names)
}

func joined(words []string) string { return strings.Join(words, ", ") }
