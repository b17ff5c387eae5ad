package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

var errEnded = errors.New("the server has ended")

// Reload puts a new configuration in force for the requests that arrive from now
// on, and reads the certificates again. What only a restart can change stays as it
// was and is named in the log. An error leaves the old configuration in force. It is refused
// once the server has ended.
func (s *Server) Reload(config Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.ended {
		return errEnded
	}
	next, err := s.newGeneration(context.Background(), config)
	if err != nil {
		return fmt.Errorf("reloading the configuration: %w", err)
	}
	for _, certs := range []certificates{s.certs, s.webhookCerts} {
		if certs == nil {
			continue
		}
		if err := certs.Reload(); err != nil {
			next.close()
			return fmt.Errorf("reloading the configuration: %w", err)
		}
	}
	s.mu.Lock()
	last := s.current
	s.current = next
	s.mu.Unlock()
	s.retired.Go(last.close)
	if err := s.lender.giveCurrent(context.Background()); err != nil { // those that came since it was made
		s.log.Warn("the credentials for upstreams could not be read", "error", err)
	}
	if s.options.LogLevel != nil {
		s.options.LogLevel.Set(config.Log.Level)
	}
	if kept := needRestart(s.config, config); len(kept) > 0 {
		s.log.Warn("some changes take effect at the next start only", "keys", kept)
	}
	s.log.Info("configuration reloaded", "upstreams", len(config.Upstreams))
	return nil
}

// needRestart names the keys that differ and that a reload does not change.
func needRestart(old, now Config) []string {
	var keys []string
	for _, key := range []struct {
		name     string
		old, now any
	}{
		{"listen", old.Listen, now.Listen},
		{"mirror.listen", old.Mirror.Listen, now.Mirror.Listen},
		{"metrics.listen", old.Metrics.Listen, now.Metrics.Listen},
		{"data", old.Data, now.Data},
		{"database", old.Database, now.Database},
		{"storage", old.Storage, now.Storage},
		{"access", old.Access, now.Access},
		{"kubernetes", old.Kubernetes.atStart(), now.Kubernetes.atStart()},
		{"cacheSize", old.CacheSize, now.CacheSize},
		{"tls", old.TLS, now.TLS},
		{"replica.advertise", old.Replica.Advertise, now.Replica.Advertise},
		{"credentialKeyFile", old.CredentialKey, now.CredentialKey},
		{"ciTokens", old.CITokens, now.CITokens},
		{"ledger.keep", old.Ledger.Keep, now.Ledger.Keep},
		{"shutdownTimeout", old.ShutdownTimeout, now.ShutdownTimeout},
		{"log.format", old.Log.Format, now.Log.Format},
	} {
		if !reflect.DeepEqual(key.old, key.now) {
			keys = append(keys, key.name)
		}
	}
	return keys
}
