// Package bench compares Larder with other servers on one machine in one run. Every
// figure is a ratio of things measured side by side, in turns, so that a noisy
// machine is noisy for all. Nothing here is a test: `make bench` runs it.
//
// The peers are Debian's docker-registry (CNCF distribution 2.8) and, as the limit
// for static bytes, nginx.
package bench
