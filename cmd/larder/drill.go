package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/warm"
)

func newDrillCommand() *cobra.Command {
	var (
		from    imageSources
		last    duration
		request api.DrillRequest
	)
	cmd := &cobra.Command{
		Use:   "drill [IMAGE...]",
		Short: "Treat upstreams as gone, and list what could not be pulled",
		Long: `Treat upstreams as gone, and list what could not be pulled now: every manifest,
configuration and layer has to be here, and its file there. The images are those that are
pinned, those that were pulled lately, or those that are named as for larder warm. Without
--platform one platform that is here will do. The exit status is 1 when something is
missing, and when there are more pinned or pulled images than one drill looks at, which
is 10,000.`,
		Example: `  larder drill --pins
  larder drill --last 24h
  larder drill --from-manifest deploy.yaml --platform linux/arm64
  larder drill --from-cluster`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 || from.any() {
				var err error
				if request.Images, err = from.images(cmd, args); err != nil {
					return err
				}
			}
			if last > 0 {
				request.Since = time.Now().Add(-time.Duration(last))
			}
			if len(request.Images) == 0 && !request.Pins && last == 0 {
				return usagef("say which images: --pins, --last 24h, or images as for larder warm")
			}
			return runDrill(cmd, request)
		},
	}
	from.addFlags(cmd)
	cmd.Flags().BoolVar(&request.Pins, "pins", false, "the images that are pinned")
	cmd.Flags().Var(&last, "last", "the images that were pulled in this time, such as 24h")
	cmd.Flags().StringArrayVar(&request.Platforms, "platform", nil, "these have to be here, or all (again and again)")
	return cmd
}

// runDrill asks for a thousand named images at a time, and for all others with the first.
func runDrill(cmd *cobra.Command, request api.DrillRequest) error {
	const atOnce = 1000
	looked, lost, left := 0, 0, ""
	for images := request.Images; ; {
		request.Images = images[:min(len(images), atOnce)]
		images = images[len(request.Images):]
		l, m, more, err := drillSome(cmd, request)
		if err != nil {
			return err
		}
		looked, lost, left = looked+l, lost+m, left+more
		if len(images) == 0 {
			break
		}
		request.Pins, request.Since = false, time.Time{}
	}
	if lost > 0 {
		if left != "" {
			left = "; " + left
		}
		return fmt.Errorf("%d of %s could not be pulled without an upstream: larder warm fetches what is missing%s", lost, counted(looked, "image"), left)
	}
	if left != "" {
		return fmt.Errorf("%s could be pulled without an upstream, and not all are known to be: %s", counted(looked, "image"), left)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s could be pulled without an upstream\n", counted(looked, "image"))
	return err
}

// drillSome drills once; left says what to do where there are more images than one drill
// looks at.
func drillSome(cmd *cobra.Command, request api.DrillRequest) (looked, lost int, left string, err error) {
	c, _, err := currentClient()
	if err != nil {
		return 0, 0, "", err
	}
	done := false
	err = c.lines(cmd.Context(), "/api/v1/drill", request, func(text []byte) error {
		var line api.DrillLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", c.server, err)
		}
		switch {
		case line.Done:
			done, left = true, printable(line.Error)
			return nil
		case line.Image == "" && line.Error != "":
			return errors.New(line.Error)
		case line.Image == "":
			return nil
		}
		looked++
		if line.Error == "" && len(line.Missing) == 0 {
			return nil
		}
		lost++
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(line.Image), printable(missingText(line)))
		return err
	})
	if err == nil && !done {
		err = fmt.Errorf("the answer of %s broke off before all images were looked at: run the command again", c.server)
	}
	return looked, lost, left, err
}

// missingText says what is missing of an image, as far as fits on a line.
func missingText(line api.DrillLine) string {
	if line.Error != "" {
		return line.Error
	}
	const most = 3
	var parts []string
	for i, m := range line.Missing {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(line.Missing)-most))
			break
		}
		parts = append(parts, missingPart(m))
	}
	return strings.Join(parts, ", ") + " missing"
}

func missingPart(m warm.Missing) string {
	words := []string{m.Kind}
	for _, word := range []string{m.Name, m.Digest.String()} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}
