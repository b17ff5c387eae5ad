// Package telemetry makes the logs and the metrics, holds the one middleware that
// feeds both, and finds out who a request comes from behind trusted proxies.
package telemetry
