package spans

import "go.opentelemetry.io/otel/trace"

// The parts of a traceparent (W3C Trace Context §3.2):
// version-traceid-parentid-flags, as in
// 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.
const (
	traceAt = 3
	spanAt  = traceAt + 32 + 1
	flagsAt = spanAt + 16 + 1
	length  = flagsAt + 2
)

// Parse reads a traceparent and allocates nothing. What a later version adds after
// the flags is ignored, as are the flags that version 00 does not know.
func Parse(v string) (id trace.TraceID, span trace.SpanID, flags trace.TraceFlags, ok bool) {
	if len(v) < length || v[traceAt-1] != '-' || v[spanAt-1] != '-' || v[flagsAt-1] != '-' {
		return
	}
	var version, bits [1]byte
	if !unhex(version[:], v[:traceAt-1]) || version[0] == 0xff ||
		!unhex(id[:], v[traceAt:spanAt-1]) || !unhex(span[:], v[spanAt:flagsAt-1]) || !unhex(bits[:], v[flagsAt:length]) {
		return trace.TraceID{}, trace.SpanID{}, 0, false
	}
	if len(v) > length && (version[0] == 0 || v[length] != '-') || !id.IsValid() || !span.IsValid() {
		return trace.TraceID{}, trace.SpanID{}, 0, false
	}
	return id, span, trace.TraceFlags(bits[0]) & trace.FlagsSampled, true
}

// unhex reads lower-case digits, two for each byte of dst.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		hi, lo := digit(s[2*i]), digit(s[2*i+1])
		if hi|lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

const digits = "0123456789abcdef"

// Format writes a traceparent of version 00.
func Format(sc trace.SpanContext) string {
	var b [length]byte
	id, span := sc.TraceID(), sc.SpanID()
	b[0], b[1] = '0', '0'
	b[traceAt-1], b[spanAt-1], b[flagsAt-1] = '-', '-', '-'
	hex(b[traceAt:], id[:])
	hex(b[spanAt:], span[:])
	hex(b[flagsAt:], []byte{byte(sc.TraceFlags() & trace.FlagsSampled)})
	return string(b[:])
}

func hex(dst, src []byte) {
	for i, c := range src {
		dst[2*i], dst[2*i+1] = digits[c>>4], digits[c&15]
	}
}
