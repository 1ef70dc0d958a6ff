package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// A Schema is the names that the built-in fields go by. The zero value is Guide.
// Attributes keep their own, but for an error under the key "error" or "err" and
// a string under "exception" (see the package's documentation).
type Schema uint8

const (
	// Guide is timestamp, level, logger, message, module, function, line.
	Guide Schema = iota
	// ECS is the Elastic Common Schema 8: @timestamp, log.level, message,
	// log.logger, trace.id, http.request.method and so on, with dotted names. What
	// ECS has no field for is below "labels.".
	ECS
	// OTel is OpenTelemetry's log data model: timestamp, severity_text,
	// severity_number, body, trace_id, span_id, and all else in "attributes", by
	// the names of the semantic conventions, or below "ballast." where they have
	// none.
	OTel
	// GCP is what Google Cloud Logging's agents take from a line of JSON:
	// severity, time, message, httpRequest and the logging.googleapis.com/ fields.
	GCP
)

var schemaNames = [...]string{"guide", "ecs", "otel", "gcp"}

// String returns "guide", "ecs", "otel" or "gcp".
func (s Schema) String() string {
	if int(s) < len(schemaNames) {
		return schemaNames[s]
	}
	return fmt.Sprintf("Schema(%d)", uint8(s))
}

// UnmarshalText accepts what String returns, for flags and configuration files.
func (s *Schema) UnmarshalText(text []byte) error {
	for i, name := range schemaNames {
		if string(text) == name {
			*s = Schema(i)
			return nil
		}
	}
	return fmt.Errorf("logging: schema %q is none of %s", text, strings.Join(schemaNames[:], ", "))
}

// MarshalText returns what String does.
func (s Schema) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A key is a built-in field's name, encoded once, and the unit of its value
// where that is a schema's choice. It is never nil.
type key = *field

type field struct {
	name  string
	json  string // `,"name":`
	first string // the same without the comma
	unit  unit
}

// A unit is how (*record).dur and (*record).int write a value.
type unit uint8

const (
	millis      unit = iota // 1.5; an int as it is
	seconds                 // 0.0015
	nanoseconds             // 1500000
	quoted                  // "0.0015s", and an int as "15"
)

// keys are the names of one schema in one format. An empty name leaves the field
// out.
type keys struct {
	time, level, number, logger, message key
	requestID, traceID, spanID, sampled  key
	module, function, file, line         key
	exception, errorMessage, dropped     key

	method, route, status, outcome, sentStatus key
	bytesIn, bytesOut, duration, callDuration  key
	remote, remotePort, userAgent, subject     key
	reason, ttfb, chunks, longestGap           key
	rpc, code, messagesIn                      key
	query, headers                             key

	attributes, http, source key // objects that hold some of the above
	constant                 string
}

// columns has a row for each field: its name in Guide, ECS, OTel and GCP. A name
// may end in the unit of its value.
var columns = [...]struct {
	field func(*keys) *key
	names [4]string
}{
	{func(k *keys) *key { return &k.time }, [4]string{"timestamp", "@timestamp", "timestamp", "time"}},
	{func(k *keys) *key { return &k.level }, [4]string{"level", "log.level", "severity_text", "severity"}},
	{func(k *keys) *key { return &k.number }, [4]string{"", "", "severity_number", ""}},
	{func(k *keys) *key { return &k.logger }, [4]string{"logger", "log.logger", "scope_name", "logger"}},
	{func(k *keys) *key { return &k.message }, [4]string{"message", "message", "body", "message"}},

	{func(k *keys) *key { return &k.requestID }, [4]string{"request_id", "http.request.id", "request_id", "request_id"}},
	{func(k *keys) *key { return &k.traceID }, [4]string{"trace_id", "trace.id", "trace_id", "logging.googleapis.com/trace"}},
	{func(k *keys) *key { return &k.spanID }, [4]string{"span_id", "span.id", "span_id", "logging.googleapis.com/spanId"}},
	{func(k *keys) *key { return &k.sampled }, [4]string{"", "", "", "logging.googleapis.com/trace_sampled"}},

	{func(k *keys) *key { return &k.module }, [4]string{"module", "", "", ""}},
	{func(k *keys) *key { return &k.function }, [4]string{"function", "log.origin.function", "code.function.name", "function"}},
	{func(k *keys) *key { return &k.file }, [4]string{"", "log.origin.file.name", "code.file.path", "file"}},
	{func(k *keys) *key { return &k.line }, [4]string{"line", "log.origin.file.line", "code.line.number", "line,quoted"}},
	{func(k *keys) *key { return &k.source }, [4]string{"", "", "", "logging.googleapis.com/sourceLocation"}},

	{func(k *keys) *key { return &k.exception }, [4]string{"exception", "error.stack_trace", "exception.stacktrace", "stack_trace"}},
	{func(k *keys) *key { return &k.errorMessage }, [4]string{"", "error.message", "exception.message", ""}},
	{func(k *keys) *key { return &k.dropped }, [4]string{"dropped_attributes", "labels.dropped_attributes", "dropped_attributes_count", "dropped_attributes"}},

	{func(k *keys) *key { return &k.http }, [4]string{"", "", "", "httpRequest"}},
	{func(k *keys) *key { return &k.method }, [4]string{"method", "http.request.method", "http.request.method", "requestMethod"}},
	{func(k *keys) *key { return &k.status }, [4]string{"status", "http.response.status_code", "http.response.status_code", "status"}},
	{func(k *keys) *key { return &k.bytesIn }, [4]string{"bytes_in", "http.request.body.bytes", "http.request.body.size", "requestSize,quoted"}},
	{func(k *keys) *key { return &k.bytesOut }, [4]string{"bytes_out", "http.response.body.bytes", "http.response.body.size", "responseSize,quoted"}},
	{func(k *keys) *key { return &k.duration }, [4]string{"duration_ms", "event.duration,ns", "http.server.request.duration,s", "latency,quoted"}},
	{func(k *keys) *key { return &k.callDuration }, [4]string{"duration_ms", "event.duration,ns", "rpc.server.call.duration,s", "latency,quoted"}},
	{func(k *keys) *key { return &k.remote }, [4]string{"remote", "client.address", "network.peer.address", "remoteIp"}},
	{func(k *keys) *key { return &k.remotePort }, [4]string{"", "", "network.peer.port", ""}},
	{func(k *keys) *key { return &k.userAgent }, [4]string{"user_agent", "user_agent.original", "user_agent.original", "userAgent"}},

	{func(k *keys) *key { return &k.route }, [4]string{"route", "labels.route", "http.route", "route"}},
	{func(k *keys) *key { return &k.outcome }, [4]string{"outcome", "labels.outcome", "ballast.outcome", "outcome"}},
	{func(k *keys) *key { return &k.sentStatus }, [4]string{"sent_status", "labels.sent_status", "ballast.sent_status", "sent_status"}},
	{func(k *keys) *key { return &k.subject }, [4]string{"subject", "user.id", "enduser.id", "subject"}},
	{func(k *keys) *key { return &k.reason }, [4]string{"reason", "event.reason", "ballast.reason", "reason"}},
	{func(k *keys) *key { return &k.ttfb }, [4]string{"time_to_first_byte_ms", "labels.time_to_first_byte_ms", "ballast.time_to_first_byte_ms", "time_to_first_byte_ms"}},
	{func(k *keys) *key { return &k.chunks }, [4]string{"chunks", "labels.chunks", "ballast.chunks", "chunks"}},
	{func(k *keys) *key { return &k.longestGap }, [4]string{"longest_gap_ms", "labels.longest_gap_ms", "ballast.longest_gap_ms", "longest_gap_ms"}},
	{func(k *keys) *key { return &k.rpc }, [4]string{"rpc", "labels.rpc", "rpc.method", "rpc"}},
	{func(k *keys) *key { return &k.code }, [4]string{"code", "labels.code", "rpc.grpc.status_code", "code"}},
	{func(k *keys) *key { return &k.messagesIn }, [4]string{"messages_in", "labels.messages_in", "ballast.messages_in", "messages_in"}},
	{func(k *keys) *key { return &k.query }, [4]string{"query", "labels.query", "ballast.query", "query"}},
	{func(k *keys) *key { return &k.headers }, [4]string{"headers", "labels.headers", "ballast.headers", "headers"}},

	{func(k *keys) *key { return &k.attributes }, [4]string{"", "", "attributes", ""}},
}

// makeKey encodes "name" or "name,unit". The console has a space after commas
// and colons.
func makeKey(spec string, spaced bool) key {
	name, u, _ := strings.Cut(spec, ",")
	k := &field{name: name, unit: map[string]unit{"": millis, "s": seconds, "ns": nanoseconds, "quoted": quoted}[u]}
	comma, colon := `,"`, `":`
	if spaced {
		comma, colon = `, "`, `": `
	}
	k.json = comma + string(appendText(nil, name)) + colon
	k.first = strings.TrimLeft(k.json, ", ")
	return k
}

// keysOf is the table of s. The console names time, level, logger and message by
// their place, and its fields are flat.
func keysOf(s Schema, spaced bool) *keys {
	k := new(keys)
	for _, c := range columns {
		*c.field(k) = makeKey(c.names[s], spaced)
	}
	if spaced {
		k.attributes = new(field)
	} else if s == ECS {
		k.constant = `,"ecs.version":"8.11.0"`
	}
	return k
}

// levelText is the name that s has for level.
func levelText(s Schema, level slog.Level) string {
	switch s {
	case ECS:
		return lower(level)
	case GCP:
		return severity(level)
	}
	return level.String()
}

// lower spares the usual levels the new string.
func lower(level slog.Level) string {
	switch level {
	case slog.LevelDebug:
		return "debug"
	case slog.LevelInfo:
		return "info"
	case slog.LevelWarn:
		return "warn"
	case slog.LevelError:
		return "error"
	}
	return strings.ToLower(level.String())
}

// severity is the LogSeverity that level reaches. Where it says less than level
// does, the record says that too.
func severity(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "DEBUG"
	case level < slog.LevelInfo+2:
		return "INFO"
	case level < slog.LevelWarn:
		return "NOTICE"
	case level < slog.LevelError:
		return "WARNING"
	case level < slog.LevelError+4:
		return "ERROR"
	case level < slog.LevelError+8:
		return "CRITICAL"
	case level < slog.LevelError+12:
		return "ALERT"
	}
	return "EMERGENCY"
}

// severityNumber is OpenTelemetry's: slog's levels were chosen to be it, less 9.
func severityNumber(level slog.Level) int64 { return int64(min(max(level+9, 1), 24)) }

// plainLevel reports whether severity's name says all of level.
func plainLevel(level slog.Level) bool {
	switch level {
	case slog.LevelDebug, slog.LevelInfo, slog.LevelInfo + 2, slog.LevelWarn, slog.LevelError, slog.LevelError + 4, slog.LevelError + 8, slog.LevelError + 12:
		return true
	}
	return false
}
