package rewriting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// lookAgain is how often a pod on a node is looked at.
	lookAgain = time.Second
	// removeLimit is how long its removal may take.
	removeLimit = 20 * time.Second
	// maxSaid bounds what is shown of a node's words, in bytes.
	maxSaid = 500
	// maxNodeLog bounds what is read of what a pod on a node prints, in bytes.
	maxNodeLog = 256 << 10
)

// CheckPull has a node pull a cached image by a pod that is removed afterwards: its runtime
// has to resolve the name, trust the certificate and be let in.
func (i Installation) CheckPull(ctx context.Context, namespace, node string, limit time.Duration) Finding {
	f := Finding{What: "DNS, trust and a pull on node " + node, Outcome: Failed}
	image, cached := i.Rules.Rewrite(triedImage)
	if !cached {
		f.Outcome, f.Seen = Unknown, "Docker Hub is not mirrored, so there is no image to try"
		return f
	}
	pod := checkPod(namespace, image, map[string]string{mirror.OptOutKey: mirror.Disabled})
	pod.Spec.NodeName = node
	var made corev1.Pod
	list := "/api/v1/namespaces/" + namespace + "/pods"
	if err := i.cluster.Create(ctx, list, pod, &made); err != nil {
		f.Seen, f.Next = err.Error(), "name a namespace in which you may make pods with --in"
		return f
	}
	path := list + "/" + made.Name
	began := time.Now()
	f = i.awaitPull(ctx, f, path, image, limit)
	if f.Outcome == OK {
		f.Seen += fmt.Sprintf(" within %s", time.Since(began).Round(time.Second))
	}
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeLimit)
	defer cancel()
	if err := i.cluster.Delete(removing, path+"?gracePeriodSeconds=0"); err != nil {
		f.Next += fmt.Sprintf("; remove what is left: kubectl delete pod %s -n %s (%v)", made.Name, namespace, err)
	}
	return f
}

func (i Installation) awaitPull(ctx context.Context, f Finding, path, image string, limit time.Duration) Finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		var pod corev1.Pod
		err := i.cluster.Get(ctx, path, &pod)
		if err == nil {
			if pulled, message := pullState(pod); pulled {
				f.Outcome, f.Seen = OK, image+" was pulled"
				return f
			} else if message != "" {
				seen, next := pullFailure(message, i.Rules.Host, image)
				f.Seen, f.Next = seen+": "+said(message), next
				return f
			}
		} else if ctx.Err() == nil {
			f.Seen, f.Next = err.Error(), "try again"
			return f
		}
		if sleep.For(ctx, lookAgain) != nil {
			return i.unheard(context.WithoutCancel(ctx), f, path, limit)
		}
	}
}

// unheard is for a pod whose image was not pulled in its time, and of whose pull nothing is
// known: a node that makes no pods at all says why by an event.
func (i Installation) unheard(ctx context.Context, f Finding, path string, limit time.Duration) Finding {
	ctx, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	pods, pod, _ := strings.Cut(path, "/pods/")
	query := url.Values{"fieldSelector": {"involvedObject.kind=Pod,type=Warning,involvedObject.name=" + pod}}
	var last corev1.Event
	err := i.cluster.List(ctx, pods+"/events?"+query.Encode(), func(item json.RawMessage) error {
		var event corev1.Event
		if err := json.Unmarshal(item, &event); err != nil {
			return err
		}
		if !event.LastTimestamp.Before(&last.LastTimestamp) {
			last = event
		}
		return nil
	})
	if err != nil || last.Message == "" {
		f.Outcome, f.Seen = Unknown, fmt.Sprintf("nothing was heard of the pull within %s", limit)
		f.Next = "give it more time with --timeout, or look at the node: kubectl describe node"
		return f
	}
	f.Seen = fmt.Sprintf("within %s the node did not come to pull it: %s", limit, said(last.Message))
	f.Next = "this keeps pods of any image from starting there: kubectl describe node, and the logs of kubelet and containerd on it"
	return f
}

// said is what a node says, or the end of it, which is where its runtime has the reason.
func said(message string) string {
	if len(message) <= maxSaid {
		return message
	}
	return "..." + strings.ToValidUTF8(message[len(message)-maxSaid:], "")
}

// afterPull are the reasons for which a container waits whose image is there.
func afterPull(reason string) bool {
	return slices.Contains([]string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}, reason)
}

// pullState tells whether the image of a pod is there, or what the node says of it.
func pullState(pod corev1.Pod) (pulled bool, message string) {
	for _, c := range pod.Status.ContainerStatuses {
		w := c.State.Waiting
		if c.State.Running != nil || c.State.Terminated != nil || c.ImageID != "" || w != nil && afterPull(w.Reason) {
			return true, ""
		}
		if w != nil && w.Message != "" && w.Reason != "ContainerCreating" {
			return false, w.Message
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return false, pod.Status.Reason + " " + pod.Status.Message
	}
	return false, ""
}

// logs reads what containers print.
type logs interface {
	Log(ctx context.Context, path string, limit int64) (string, error)
}

var (
	readsForm = regexp.MustCompile(`"reads":"([a-z]+)","why":("(?:[^"\\]|\\.)*")`)
	errEnough = errors.New("enough")
)

// CheckMirror tells whether containerd of a node reads the files of mirrors, by what the
// DaemonSet's pod there has seen.
func (i Installation) CheckMirror(ctx context.Context, from logs, node string) Finding {
	f := Finding{What: "whether containerd reads config_path on node " + node, Outcome: Unknown}
	path := ""
	query := url.Values{"labelSelector": {"app.kubernetes.io/name=larder-nodes"}, "fieldSelector": {"spec.nodeName=" + node}}
	err := i.cluster.List(ctx, "/api/v1/pods?"+query.Encode(), func(item json.RawMessage) error {
		var pod corev1.Pod
		if err := json.Unmarshal(item, &pod); err != nil {
			return err
		}
		path = "/api/v1/namespaces/" + pod.Namespace + "/pods/" + pod.Name
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		f.Seen, f.Next = err.Error(), "look on the node: grep config_path /etc/containerd/config.toml"
		return f
	}
	if path == "" {
		f.Seen = "it cannot be seen from here without the DaemonSet of node mirrors"
		f.Next = "look on the node: grep config_path /etc/containerd/config.toml; or install it: larder kube nodes --image IMAGE | kubectl apply -f -"
		return f
	}
	text, err := from.Log(ctx, path+"/log?tailLines=500", maxNodeLog)
	if err != nil {
		f.Seen, f.Next = err.Error(), "look on the node: grep config_path /etc/containerd/config.toml"
		return f
	}
	lines := readsForm.FindAllStringSubmatch(text, -1)
	if len(lines) == 0 {
		f.Seen, f.Next = "the pod there has not said it yet", "try again, or look on the node: grep config_path /etc/containerd/config.toml"
		return f
	}
	last := lines[len(lines)-1]
	var why string
	if err := json.Unmarshal([]byte(last[2]), &why); err != nil {
		why = last[2]
	}
	f.Seen = why
	switch last[1] {
	case "yes":
		f.Outcome = OK
	case "no":
		f.Outcome, f.Next = Failed, "change the node's configuration as it says; new nodes need it in their image or their bootstrap"
	}
	return f
}
