package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/imagecopy"
)

const (
	// defaultCopies bounds what one copy has under way at once.
	defaultCopies = 4
	// maxRepositoryList bounds the file of --repositories, in bytes.
	maxRepositoryList = 16 << 20
)

// copyOptions are the flags of larder copy.
type copyOptions struct {
	imagecopy.Options
	imagecopy.Naming
	all          bool
	platforms    []string
	jobs         int
	ca           string
	repositories string
}

func newCopyCommand() *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy images between registries and folders",
		Long: `Copy an image, bytes and digest untouched, between any two registries, or to and from
a folder in the form of an OCI image layout. SRC and DST are

  HOST/NAME:TAG, HOST/NAME@DIGEST   in a registry; without a tag it is latest
  oci:FOLDER:TAG                    in a folder, as skopeo writes it; a DST without TAG
                                    gets that of SRC
  oci-archive:FILE:TAG              in a tar file with such a folder; only as SRC

What DST has already is not sent again, so a copy that was broken off goes on where it
was when it is run again. The copy is read back and compared before it is reported.

With --all, SRC and DST are prefixes such as HOST/PROJECT, and every tag of every
repository below SRC is copied. Failures do not stop it: they are listed at the end,
and the exit status is 1. Run it again to copy what is missing or has moved since.

Credentials are those of docker login and podman login, and for the server in use those
of larder login.`,
		Example: `  larder copy docker.io/library/nginx:1.27 larder.example.com/demo/nginx:1.27
  larder copy larder.example.com/demo/app:1 oci:app:1 --platform linux/amd64
  larder copy --all old.example.com/project larder.example.com/project --dry-run`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.all, "all", false, "copy every tag of every repository below SRC")
	flags.StringArrayVar(&o.platforms, "platform", nil, "copy only this platform, such as linux/amd64; may be repeated; the digest of an index changes")
	flags.BoolVar(&o.Referrers, "referrers", false, "copy signatures, SBOMs and what else refers to the image, too")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be copied, and copy nothing")
	flags.IntVar(&o.jobs, "jobs", defaultCopies, "how many blobs, or with --all images, are under way at once")
	flags.StringVar(&o.repositories, "repositories", "", "with --all: a `FILE` with the repositories to copy, one on each line, where SRC does not list them; - is standard input")
	flags.BoolVar(&o.InsecureHTTP, "insecure-http", false, "allow plain HTTP to other machines, which others can read")
	flags.StringVar(&o.ca, "certificate-authority", "", "a `FILE` with the certificate authority of a registry, besides the system's")
	return cmd
}

func (o copyOptions) run(cmd *cobra.Command, args []string) (err error) {
	if o.Platforms, err = imagecopy.ParsePlatforms(o.platforms); err != nil {
		return &usageError{err}
	}
	switch {
	case o.jobs < 1 || o.jobs > 64:
		return usagef("--jobs is %d: it is a number from 1 to 64", o.jobs)
	case o.repositories != "" && (!o.all || len(args) != 2):
		return usagef("--repositories names what is below one SRC: write larder copy --all SRC DST --repositories FILE")
	case !o.all && len(args) != 2:
		return usagef("larder copy takes one SRC and one DST, and several SRC only with --all")
	}
	registries, done, err := o.registries()
	if err != nil {
		return err
	}
	defer done()
	copier := &imagecopy.Copier{Registries: registries, Options: o.Options, Jobs: o.jobs}
	if o.all {
		return o.copyAll(cmd, copier, args)
	}
	return o.copyOne(cmd, copier, args[0], args[1])
}

func (o copyOptions) copyOne(cmd *cobra.Command, copier *imagecopy.Copier, src, dst string) error {
	from, err := o.Source(src)
	if err != nil {
		return &usageError{err}
	}
	to, err := o.Destination(dst)
	if err != nil {
		return &usageError{err}
	}
	to = to.NamedAfter(from)
	shown := newProgress(cmd.ErrOrStderr())
	meter := shown.meter(from.String())
	result, err := copier.Copy(cmd.Context(), from, to, meter)
	shown.wait()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", o.told(from.String(), to.String(), result))
	o.noteDigest(cmd, result)
	return err
}

// told says what came of one image.
func (o copyOptions) told(from, to string, r imagecopy.Result) string {
	switch {
	case o.DryRun && r.Before == "":
		return fmt.Sprintf("would copy %s to %s: %s", from, to, r.Digest)
	case o.DryRun && r.Changed():
		return fmt.Sprintf("would copy %s to %s: %s, which names %s now", from, to, r.Digest, r.Before)
	case !r.Changed() && r.Manifests == 0:
		return fmt.Sprintf("%s is at %s already: %s", from, to, r.Digest)
	}
	return fmt.Sprintf("copied %s to %s: %s; sent %s of %s, %d were there already",
		from, to, r.Digest, counted(r.Blobs, "blob"), bytesText(r.Bytes), r.Held)
}

func (o copyOptions) noteDigest(cmd *cobra.Command, r imagecopy.Result) {
	if r.Was != "" {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "note: with some of its platforms the index has another digest: it was %s\n", r.Was)
	}
}

// listedRepositories reads the file of --repositories.
func (o copyOptions) listedRepositories(stdin io.Reader) ([]string, error) {
	if o.repositories == "" {
		return nil, nil
	}
	in := stdin
	if o.repositories != "-" {
		file, err := os.Open(o.repositories)
		if err != nil {
			return nil, fmt.Errorf("reading the list of repositories: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	var names []string
	lines := bufio.NewScanner(io.LimitReader(in, maxRepositoryList))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the list of repositories: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the list of repositories %s is empty: write one name on each line", o.repositories)
	}
	return names, nil
}
