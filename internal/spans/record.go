package spans

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// Peer appends the peer's address and port.
func Peer(attrs []attribute.KeyValue, remote string) []attribute.KeyValue {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return attrs // a Unix socket's
	}
	return append(attrs,
		attribute.String("network.peer.address", at.Addr().Unmap().WithZone("").String()),
		attribute.Int("network.peer.port", int(at.Port())))
}

// Common appends what a record says whatever the transport: outcome, reason, request
// id and the facts of a stream, which span gets as an event, too.
func Common(attrs []attribute.KeyValue, span trace.Span, rec *reqstate.Record) []attribute.KeyValue {
	if rec.Outcome != reqstate.Complete {
		attrs = append(attrs, attribute.String("ballast.outcome", rec.Outcome.String()))
	}
	if reason := rec.Rejection(); reason != "" {
		attrs = append(attrs, attribute.String("ballast.reason", Clip(reason, maxReason)))
	}
	if rec.RequestID != "" {
		attrs = append(attrs, attribute.String("ballast.request.id", Clip(rec.RequestID, maxRequestID)))
	}
	if rec.Panic != nil {
		panicked(span, rec.Panic)
	}
	if s := &rec.Stream; s.Chunks > 0 {
		span.AddEvent("ballast.first_byte", trace.WithTimestamp(rec.Start.Add(s.TimeToFirstByte)))
		attrs = append(attrs,
			attribute.Float64("ballast.stream.time_to_first_byte", s.TimeToFirstByte.Seconds()),
			attribute.Int64("ballast.stream.chunks", s.Chunks))
		if s.Chunks > 1 {
			attrs = append(attrs, attribute.Float64("ballast.stream.longest_gap", s.LongestGap.Seconds()))
		}
	}
	return attrs
}

// panicked adds the exception event. A panic's text may hold what was being worked
// on, a prompt for one; only the runtime's own never does.
func panicked(span trace.Span, v any) {
	kind := fmt.Sprintf("%T", v)
	attrs := []attribute.KeyValue{attribute.String("exception.type", kind)}
	if err, ok := v.(runtime.Error); ok && strings.HasPrefix(strings.TrimPrefix(kind, "*"), "runtime.") {
		attrs = append(attrs, attribute.String("exception.message", Clip(err.Error(), MaxPath)))
	}
	span.AddEvent("exception", trace.WithAttributes(attrs...))
}

// Fail marks span as an error of the given type.
func Fail(span trace.Span, attrs []attribute.KeyValue, kind string) []attribute.KeyValue {
	span.SetStatus(codes.Error, "")
	return append(attrs, attribute.String("error.type", kind))
}

// Method returns what HTTP semantic conventions call a request's method, and whether
// it is a standard one.
func Method(method string) (string, bool) {
	switch method {
	case "":
		return http.MethodGet, true // a client's
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY":
		return method, true
	}
	return "_OTHER", false
}
