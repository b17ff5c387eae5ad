// Package hubsim is Docker Hub, simulated: a registry, its token service and
// the content delivery network that its blobs are redirected to, on three
// loopback listeners. It behaves as Docker Hub does where a client can notice
// (challenges, tokens that expire, pull limits with their headers and bodies,
// redirects with signed links, private repositories that look missing), or as
// an ordinary registry does when told to (Generic).
//
// It makes images of any size from a seed, without holding their bytes; it
// fails on demand (Break); and it records what it was asked (Requests,
// Counters), so that a cache in front of it can be judged by what reached it.
//
// It serves reads only: images come in through AddImage and its siblings.
package hubsim
