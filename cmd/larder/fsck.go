package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/server"
)

func newFsckCommand() *cobra.Command {
	var olderThan ago
	var bandwidth byteSize
	var repair bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Verify every blob and every link",
		Long: `Verify every blob and every link of the server that you are logged in to, or with
--data, --config, --database or --storage of one that is stopped. Pushes and pulls go
on meanwhile.

A damaged blob of a cache is fetched anew when it is next pulled, or with --repair at
once. One that was pushed is set aside and named with its repositories and tags: push it
again, or restore it from a backup. With --repair it is looked at again, too: it is taken
back when its bytes are good by now, and fetched when a cache has it as well. The exit
status is 1 when something was found that was not repaired.`,
		Example: "  larder fsck --older-than 168h --bandwidth 50MiB\n  larder fsck --repair",
		Args:    usageArgs(cobra.NoArgs),
	}
	flags := server.BindStoreFlags(cmd.Flags())
	cmd.Flags().Var(&olderThan, "older-than", "leave out blobs that a check has verified less long ago, such as 168h or 7d")
	cmd.Flags().Var(&bandwidth, "bandwidth", "read blobs no faster than this each second, such as 50MiB")
	cmd.Flags().BoolVar(&repair, "repair", false, "fetch damaged blobs of caches anew at once, and look again at those that were set aside")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report := newFsckReport(cmd.OutOrStdout(), cmd.ErrOrStderr())
		check := registry.Fsck{OlderThan: time.Duration(olderThan.duration), Bandwidth: int64(bandwidth), Repair: repair, Tell: report.tell}
		var err error
		if namesStores(cmd) {
			err = fsckOffline(cmd.Context(), flags, check)
		} else {
			err = fsckOnline(cmd.Context(), check)
		}
		return report.end(err)
	}
	return cmd
}

// fsckOffline checks the stores of a server that is stopped.
func fsckOffline(ctx context.Context, flags *server.Flags, check registry.Fsck) error {
	config, err := loadStores(flags)
	if err != nil {
		return err
	}
	return server.Fsck(ctx, config, check, slog.New(slog.DiscardHandler))
}

// fsckOnline asks the server to check itself and follows its answer.
func fsckOnline(ctx context.Context, check registry.Fsck) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	query := url.Values{"bandwidth": {strconv.FormatInt(check.Bandwidth, 10)}, "olderThan": {check.OlderThan.String()}, "repair": {strconv.FormatBool(check.Repair)}}
	done := false
	err = c.lines(ctx, "/api/v1/fsck?"+query.Encode(), nil, func(text []byte) error {
		var line api.FsckLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", c.server, err)
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		done = line.Done
		return check.Tell(line.FsckEvent)
	})
	if err == nil && !done {
		err = fmt.Errorf("the answer of %s broke off before the check was done: run it again with --older-than 24h, which goes on where it was", c.server)
	}
	return err
}

// byteSize is a flag's number of bytes, such as 50MiB.
type byteSize int64

func (s *byteSize) String() string { return strconv.FormatInt(int64(*s), 10) }

func (*byteSize) Type() string { return "size" }

// Set reads what oci.ParseSize does.
func (s *byteSize) Set(text string) error {
	n, err := oci.ParseSize(text)
	*s = byteSize(n)
	return err
}
