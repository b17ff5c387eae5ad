// Package authn answers who a caller is: by password, by access token, or by a
// registry token that it issued itself (Docker's token service). It decides
// nothing about what the caller may do.
package authn
