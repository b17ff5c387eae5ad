package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/imagetrigger"
	"github.com/larder-registry/larder/internal/kube"
)

// triggerOptions are the flags of set triggers.
type triggerOptions struct {
	cluster                         kube.Kubeconfig
	fromImage                       string
	containers                      []string
	auto, manual, remove, removeAll bool
}

func newSetTriggersCommand() *cobra.Command {
	var o triggerOptions
	cmd := &cobra.Command{
		Use:   "triggers KIND/NAME",
		Short: "Have a workload of a cluster follow an image stream's tag",
		Long: `Have a Deployment, StatefulSet, DaemonSet or CronJob of the current kubeconfig's cluster
follow a tag: when it moves, the image of the container is set to what it names then. The
annotation is OpenShift's, image.openshift.io/triggers. It takes a server that has
kubernetes.imageTriggers for the namespace.

Without a flag the triggers of the workload are listed. --manual keeps them, and has them
change nothing until --auto.`,
		Example: `  larder set triggers deploy/web --from-image=demo/web:latest -c web
  larder set triggers deploy/web
  larder set triggers deploy/web --manual
  larder set triggers deploy/web --from-image=demo/web:latest --remove
  larder set triggers cronjob/report --remove-all -n demo`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			w, cluster, err := o.workload(cmd, args)
			if err != nil {
				return err
			}
			triggers, err := imagetrigger.Parse(w.Annotations[imagetrigger.Annotation])
			if err != nil {
				return fmt.Errorf("%s: %w; --remove-all takes it away", w, err)
			}
			if !o.changes() {
				return listTriggers(cmd, w, triggers)
			}
			return o.set(cmd, cluster, w, triggers)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.fromImage, "from-image", "", "follow this `tag`, as in web:latest or demo/web:latest")
	flags.StringSliceVarP(&o.containers, "containers", "c", nil, "of these containers; it may be left out where there is one")
	flags.BoolVar(&o.auto, "auto", false, "let triggers change the workload")
	flags.BoolVar(&o.manual, "manual", false, "pause triggers")
	flags.BoolVar(&o.remove, "remove", false, "remove the triggers that follow --from-image")
	flags.BoolVar(&o.removeAll, "remove-all", false, "remove all triggers")
	addClusterFlags(cmd, &o.cluster)
	return cmd
}

func (o *triggerOptions) changes() bool {
	return o.fromImage != "" || o.auto || o.manual || o.remove || o.removeAll
}

func (o *triggerOptions) check() error {
	switch {
	case o.auto && o.manual:
		return usagef("--auto and --manual are opposites: give one of them")
	case o.removeAll && (o.remove || o.auto || o.manual || o.fromImage != ""):
		return usagef("--remove-all removes all triggers: give nothing beside it")
	case o.remove && o.fromImage == "":
		return usagef("--remove takes --from-image, the tag that is no longer followed; --remove-all removes all")
	case len(o.containers) > 0 && o.fromImage == "":
		return usagef("--containers takes --from-image, the tag that they follow")
	}
	return nil
}

// workload reads the workload that is meant by KIND/NAME, or by KIND NAME.
func (o *triggerOptions) workload(cmd *cobra.Command, args []string) (imagetrigger.Workload, *kube.Cluster, error) {
	kind, name, known := parseWorkload(strings.Join(args, "/"))
	if !known {
		return imagetrigger.Workload{}, nil, usagef("%q is no workload that can follow a tag: write it like deploy/web; deployments, statefulsets, daemonsets and cronjobs can", strings.Join(args, " "))
	}
	cluster, err := openCluster(o.cluster)
	if err != nil {
		return imagetrigger.Workload{}, nil, err
	}
	w, err := readWorkload(cmd, cluster, kind, name)
	return w, cluster, err
}

// parseWorkload reads KIND/NAME.
func parseWorkload(text string) (kind imagetrigger.Kind, name string, known bool) {
	kindText, name, _ := strings.Cut(text, "/")
	kind, known = imagetrigger.ParseKind(kindText)
	return kind, name, known && name != "" && !strings.Contains(name, "/")
}

// readWorkload reads one of the namespace that -n names, or the kubeconfig.
func readWorkload(cmd *cobra.Command, cluster *kube.Cluster, kind imagetrigger.Kind, name string) (imagetrigger.Workload, error) {
	namespace, err := cmd.Flags().GetString(namespaceFlag)
	if err != nil {
		return imagetrigger.Workload{}, err
	}
	namespace = cmp.Or(namespace, cluster.Namespace)
	var object json.RawMessage
	err = cluster.Get(cmd.Context(), kind.In(namespace, name), &object)
	if errors.Is(err, kube.ErrNoObject) {
		return imagetrigger.Workload{}, fmt.Errorf("namespace %s of %s has no %s %s: kubectl get %s -n %s lists those that there are", namespace, cluster.From, strings.ToLower(kind.Name), name, kind.Resource, namespace)
	}
	if err != nil {
		return imagetrigger.Workload{}, err
	}
	return imagetrigger.Read(kind, object)
}

// set writes the triggers down as they are to be.
func (o *triggerOptions) set(cmd *cobra.Command, cluster *kube.Cluster, w imagetrigger.Workload, triggers []imagetrigger.Trigger) error {
	triggers, err := o.changed(w, triggers)
	if err != nil {
		return err
	}
	var note any // nil takes it away
	if len(triggers) > 0 {
		if note, err = imagetrigger.Format(triggers); err != nil {
			return err
		}
	}
	err = cluster.Merge(cmd.Context(), w.Path(), map[string]any{"metadata": map[string]any{
		"resourceVersion": w.Version, "annotations": map[string]any{imagetrigger.Annotation: note},
	}}, nil)
	if errors.Is(err, kube.ErrChanged) {
		return fmt.Errorf("the triggers of %s were not set, since somebody else changed it meanwhile: try again", w)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s triggers updated\n", w)
	return err
}

func listTriggers(cmd *cobra.Command, w imagetrigger.Workload, triggers []imagetrigger.Trigger) error {
	t := table{header: []string{"NAME", "TYPE", "VALUE", "AUTO"}}
	for _, trigger := range triggers {
		value := trigger.From.Name
		if repository, tag, err := trigger.Tag(w.Namespace); err == nil {
			value = repository.String() + ":" + tag
		}
		container := trigger.FieldPath
		if list, at, err := trigger.Container(w); err == nil {
			container = w.Containers(list)[at].Name
		}
		t.rows = append(t.rows, []string{w.Kind.Resource + "/" + w.Name, "image", value + " (" + container + ")", strconv.FormatBool(!bool(trigger.Paused))})
	}
	return newListing(cmd, formatTable, w.Kind.Resource).print(triggers, t.orSay(w.String()+" has no triggers."))
}
