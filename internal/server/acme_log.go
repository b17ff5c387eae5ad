package server

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap/zapcore"
)

// acmeLog lets a library that logs with zap write to our log. What it tells at info is
// for whoever looks closely, and what it tells at debug, several lines for each
// handshake and request, for nobody.
type acmeLog struct {
	to     *slog.Logger
	fields []zapcore.Field
}

func (l acmeLog) level(of zapcore.Level) slog.Level {
	switch {
	case of >= zapcore.ErrorLevel:
		return slog.LevelError
	case of == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core, as the methods below do.
func (l acmeLog) Enabled(level zapcore.Level) bool {
	return level > zapcore.DebugLevel && l.to.Enabled(context.Background(), l.level(level))
}

func (l acmeLog) With(fields []zapcore.Field) zapcore.Core {
	return acmeLog{to: l.to, fields: append(slices.Clip(l.fields), fields...)}
}

func (l acmeLog) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if l.Enabled(e.Level) {
		return to.AddCore(e, l)
	}
	return to
}

func (l acmeLog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range append(slices.Clip(l.fields), fields...) {
		field.AddTo(values)
	}
	attributes := make([]any, 0, len(values.Fields))
	for _, key := range slices.Sorted(maps.Keys(values.Fields)) {
		attributes = append(attributes, slog.Any(key, values.Fields[key]))
	}
	l.to.Log(context.Background(), l.level(e.Level), "certificates: "+e.Message, attributes...)
	return nil
}

func (acmeLog) Sync() error { return nil }
