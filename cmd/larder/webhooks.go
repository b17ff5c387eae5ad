package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// webhooksPath is where the webhooks of a project are, or one of them.
func webhooksPath(project string, name ...string) string {
	path := projectPath(project) + "/webhooks"
	for _, n := range name {
		path += "/" + url.PathEscape(n)
	}
	return path
}

// webhookPath is that of a webhook in the project to work in.
func webhookPath(cmd *cobra.Command, name string) (string, error) {
	project, err := namespace(cmd)
	return webhooksPath(project, name), err
}

func newCreateWebhookCommand() *cobra.Command {
	var request api.WebhookRequest
	var repository string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "webhook NAME --url URL [--repo REPOSITORY] [--event EVENT]... [--secret-stdin]",
		Short: "Have a receiver told what happens in the project",
		Long: `Have a receiver told by POST requests what happens in the project, or in one repository of
it: push and delete, and in a cache project pull-limit (little is left of the upstream's) and
fill-failed (a pull was refused that the upstream did not serve). Without --event it is all of
them.

A push has the form of Docker Hub's webhooks. Each request is signed by a secret: the
receiver checks X-Hub-Signature-256. Without --secret-stdin the registry makes the secret, and
it is shown here, once.`,
		Example: `  larder create webhook ci --repo demo/web --url https://ci.example.com/hook --event push --secret-stdin < secret.txt
  larder create webhook chat -n docker-hub --url https://chat.example.com/hook --event pull-limit`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Name = args[0]
			project, err := webhookProject(cmd, repository, &request)
			if err != nil {
				return err
			}
			if request.URL == "" {
				return usagef("where is the receiver: add --url URL")
			}
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			warnInTheClear(cmd, login.Server, "secret")
			if stdin {
				if request.Secret, err = readLine(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			var made api.Webhook
			if err := c.call(cmd.Context(), http.MethodPost, webhooksPath(project), request, &made); err != nil {
				return err
			}
			if made.Secret != "" {
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "Its secret, which is not shown again:\n"); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Secret)
				return err
			}
			return created(cmd, "webhook", args[0])
		},
	}
	cmd.Flags().StringVar(&repository, "repo", "", "only what happens in this repository")
	cmd.Flags().StringVar(&request.URL, "url", "", "where the receiver is")
	cmd.Flags().StringArrayVar(&request.Events, "event", nil, "what it is told: push, delete, pull-limit or fill-failed (again and again)")
	cmd.Flags().BoolVar(&stdin, "secret-stdin", false, "read the secret from standard input")
	return cmd
}

// webhookProject is the project of the repository that is named, else the one to work in.
func webhookProject(cmd *cobra.Command, repository string, request *api.WebhookRequest) (string, error) {
	if repository == "" {
		return namespace(cmd)
	}
	n, err := parseImageName(cmd, repository)
	if err == nil && (n.tag != "" || n.digest != "") {
		err = usagef("%q is an image: a webhook is told of all images of a repository", repository)
	}
	request.Repository = n.repository
	return n.project, err
}

func newDeleteWebhookCommand() *cobra.Command {
	return newDeleteNamedCommand("webhook", "Delete a webhook with its deliveries", []string{"webhooks"}, webhookPath)
}

func newGetWebhooksCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "webhooks [NAME]",
		Aliases: []string{"webhook"},
		Short:   "List who is told what happens in the project, or show one",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "webhook")
			if len(args) == 1 {
				var one api.Webhook
				if err := c.call(cmd.Context(), http.MethodGet, webhooksPath(project, args[0]), nil, &one); err != nil {
					return err
				}
				return out.print(one, webhookRows([]api.Webhook{one}, time.Now()))
			}
			var all api.WebhookList
			if err := c.call(cmd.Context(), http.MethodGet, webhooksPath(project), nil, &all); err != nil {
				return err
			}
			return out.print(all, webhookRows(all.Items, time.Now()).orSay("No webhooks found in project "+project+"."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func webhookRows(all []api.Webhook, now time.Time) table {
	t := table{header: []string{"NAME", "REPOSITORY", "EVENTS", "STATE", "WAITING", "URL", "AGE"}, wide: []string{"CREATOR", "REASON"}}
	for _, w := range all {
		t.rows = append(t.rows, []string{
			w.Name, cmp.Or(w.Repository, "*"), strings.Join(w.Events, ","), w.State, strconv.FormatInt(w.Waiting, 10), w.URL,
			age(now.Sub(w.CreatedAt)), w.Creator, cmp.Or(w.Reason, "-"),
		})
	}
	return t
}

func newWebhookCommand() *cobra.Command {
	return newVerbCommand("webhook", "do", "Deliver to webhooks once more", newRedeliverCommand(), newResumeWebhookCommand())
}

func newResumeWebhookCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Deliver again to a webhook that was set aside",
		Long: `Deliver again to a webhook that was set aside because too many deliveries had failed: what
waits for it is tried at once. What was given up before is delivered by larder webhook
redeliver.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := webhookPath(cmd, args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodPost, path+"/resume", nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "webhook %q resumed\n", args[0])
			return err
		},
	}
}
