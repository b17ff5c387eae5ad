// Command larder is an OCI image registry, a Docker Hub pull-through cache, and the
// commands that administer it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// version and commit are set by the linker.
var (
	version = "0.1.0-dev"
	commit  = "unknown"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(typeAndName(root, args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errNo) {
		return exitFailed // it was the answer, and has been printed
	}
	_, _ = fmt.Fprintf(patient{stderr}, "larder: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "larder",
		Short: "An OCI image registry and Docker Hub pull-through cache",
		Long: `Larder keeps images: those that you push, and those of Docker Hub that you pull
through it, once for everybody. Begin with

  larder serve
  docker pull localhost:5000/docker-hub/library/nginx`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// In letters: logn is one from login.
		SuggestionsMinimumDistance: 2,
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newServeCommand(), newDemoCommand(), newVersionCommand(), newAdminCommand(), newFsckCommand(),
		newLoginCommand(), newLogoutCommand(), newWhoamiCommand(),
		newNewProjectCommand(), newProjectCommand(), newProjectsCommand(), newGetCommand(),
		newBackupCommand(), newRestoreCommand(), newMigrateCommand(), newAdmCommand(),
		newSetCommand(), newDeleteCommand(), newCreateCommand(), newDescribeCommand(), newEditCommand(),
		newPasswdCommand(), newRegistryCommand(), newPullSecretCommand(), newCopyCommand(), newImportImageCommand(),
		newPolicyCommand(), newAuthCommand(), newUpstreamCommand(), newKubeCommand(), newMirrorsCommand(),
		newTagCommand(), newRepoCommand(), newWebhookCommand(),
		newExplainCommand(), newPinCommand(), newUnpinCommand(), newWarmCommand(), newDrillCommand(),
	)
	addGlobalFlags(root)
	return root
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(": did you mean %q?", near[0])
	}
	return &usageError{fmt.Errorf("unknown command %q%s; see 'larder --help'", args[0], hint)}
}
