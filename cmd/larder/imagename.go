package main

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// imageName is a repository as it is typed, with the tag or the digest that follows it.
type imageName struct {
	project, repository string
	tag, digest         string // at most one is set
}

// parseImageName reads REPOSITORY, PROJECT/REPOSITORY, either with :TAG or @DIGEST. A name
// with a slash has its project in front unless -n names one; one without is in the
// project that is named or selected.
func parseImageName(cmd *cobra.Command, text string) (imageName, error) {
	var n imageName
	name, digest, _ := strings.Cut(text, "@")
	n.digest = digest
	if at := strings.LastIndexByte(name, ':'); at >= 0 {
		name, n.tag = name[:at], name[at+1:]
	}
	if n.tag != "" && n.digest != "" {
		n.tag = "" // as docker does: the digest says it all
	}
	given, err := cmd.Flags().GetString(namespaceFlag)
	if err != nil {
		return imageName{}, err
	}
	project, rest, slash := strings.Cut(name, "/")
	switch {
	case given != "":
		n.project, n.repository = given, strings.TrimPrefix(name, given+"/")
	case slash:
		n.project, n.repository = project, rest
	default:
		n.repository = name
		if n.project, err = namespace(cmd); err != nil {
			return imageName{}, err
		}
	}
	if n.repository == "" {
		return imageName{}, usagef("%q names no repository: write it as in demo/app", text)
	}
	return n, nil
}

// full is the name with the project in front.
func (n imageName) full() string { return n.project + "/" + n.repository }

// String is the name with what follows it.
func (n imageName) String() string {
	switch {
	case n.digest != "":
		return n.full() + "@" + n.digest
	case n.tag != "":
		return n.full() + ":" + n.tag
	}
	return n.full()
}

func (n imageName) path() string {
	return repositoriesPath(n.project) + "/" + url.PathEscape(n.repository)
}

func (n imageName) tagPath() string { return n.path() + "/tags/" + url.PathEscape(n.tag) }

func repositoriesPath(project string) string { return projectPath(project) + "/repositories" }

// withTag reads an image name that has a tag.
func withTag(cmd *cobra.Command, text string) (imageName, error) {
	n, err := parseImageName(cmd, text)
	if err == nil && n.tag == "" {
		err = usagef("%q names no tag: write it as in demo/app:1.0", text)
	}
	return n, err
}
