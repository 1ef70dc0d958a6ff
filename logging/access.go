package logging

import (
	"log/slog"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// Bounds of what a record takes from a client.
const (
	maxMethod = 32
	maxField  = 256 // any other text
)

// WriteAccess writes the access record of a request or gRPC call that is over. It
// is what Middleware and package logginggrpc do, and of no use to others. levels
// and s are MiddlewareConfig's Levels and Sample.
func (l *Logger) WriteAccess(rec *reqstate.Record, levels map[string]slog.Level, s *Sample) {
	l.writeAccess(rec, levels, s, nil)
}

func (l *Logger) writeAccess(rec *reqstate.Record, levels map[string]slog.Level, s *Sample, c *captured) {
	level := accessLevel(rec, levels)
	if level < l.level.Level() {
		return
	}
	if !s.keeps(rec) {
		l.pipe.sampledOut.Add(1)
		return
	}
	r := l.begin(l.name, level, rec.Start.Add(rec.Duration), "request", idsOf(rec))
	r.access(rec)
	if c != nil {
		c.write(r)
	}
	for _, a := range rec.Attrs {
		r.attr(a)
	}
	// A failed write is counted by the output; there is nobody to tell.
	_ = l.end(r)
}

// accessLevel is that of the route, or higher if the request failed. One that was
// turned away by a limit, a breaker or a drain did what it should.
func accessLevel(rec *reqstate.Record, levels map[string]slog.Level) slog.Level {
	level := levels[rec.Route] // slog.LevelInfo is 0
	switch {
	case rec.Status < 500:
		return level
	case rec.Protected():
		return max(level, slog.LevelWarn)
	}
	return max(level, slog.LevelError)
}

// access adds what a request was. The client's texts are cut.
func (r *record) access(rec *reqstate.Record) {
	k := r.keys
	at := r.openHTTP()
	b, duration := r.buf, k.callDuration
	if rec.RPC == "" {
		duration = k.duration
		b = appendStr(b, k.method, limit(rec.Method, maxMethod))
		b = appendInt(b, k.status, int64(rec.Status))
		b = appendInt(b, k.bytesIn, rec.BytesIn)
		b = appendInt(b, k.bytesOut, rec.Bytes)
	}
	r.buf = appendDur(b, duration, rec.Duration)
	r.remote(rec.Remote)
	if rec.UserAgent != "" {
		r.buf = appendStr(r.buf, k.userAgent, limit(rec.UserAgent, maxField))
	}
	r.closeHTTP(at)
	r.buf = appendOutcome(r.buf, k, rec)
}

// appendOutcome adds what has no place in GCP's httpRequest.
func appendOutcome(b []byte, k *keys, rec *reqstate.Record) []byte {
	if rec.RPC == "" {
		b = appendStr(b, k.route, limit(rec.Route, maxField))
	} else {
		b = appendStr(b, k.rpc, limit(rec.RPC, maxField))
		b = appendInt(b, k.code, int64(rec.Code))
		b = appendInt(b, k.messagesIn, rec.MessagesIn)
	}
	b = appendWord(b, k.outcome, rec.Outcome.String())
	if rec.Sent != rec.Status && rec.RPC == "" {
		b = appendInt(b, k.sentStatus, int64(rec.Sent))
	}
	if reason := rec.Rejection(); reason != "" {
		b = appendStr(b, k.reason, limit(reason, maxField))
	}
	if rec.Subject != "" {
		b = appendStr(b, k.subject, limit(rec.Subject, maxField))
	}
	if rec.Stream.Chunks > 0 {
		b = appendDur(b, k.ttfb, rec.Stream.TimeToFirstByte)
		b = appendInt(b, k.chunks, rec.Stream.Chunks)
		b = appendDur(b, k.longestGap, rec.Stream.LongestGap)
	}
	return b
}
