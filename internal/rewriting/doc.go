// Package rewriting works on a cluster in which images are pulled through Larder: it turns
// that off and on, tells which pods have which images and why, and removes what was
// installed. It asks the cluster alone, so that it works while Larder does not; what the
// webhook and the mirrors of nodes asked of a server is counted here, too.
package rewriting
