package spans

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	id   = "0af7651916cd43dd8448eb211c80319c"
	span = "b7ad6b7169203331"
	good = "00-" + id + "-" + span + "-01"
)

func TestParse(t *testing.T) {
	for v, want := range map[string]struct{ ok, sampled bool }{
		good:                                                 {true, true},
		"00-" + id + "-" + span + "-00":                      {true, false},
		"00-" + id + "-" + span + "-02":                      {true, false}, // random-trace-id, level 2
		"00-" + id + "-" + span + "-ff":                      {true, true},  // §3.2.2.5.1: others are ignored
		"01-" + id + "-" + span + "-01":                      {true, true},
		"cc-" + id + "-" + span + "-01-x":                    {true, true},
		"cc-" + id + "-" + span + "-01-":                     {true, true},
		"cc-" + id + "-" + span + "-01x":                     {},
		"00-" + id + "-" + span + "-01-x":                    {},
		"00-" + id + "-" + span + "-01-":                     {},
		"ff-" + id + "-" + span + "-01":                      {},
		"00-" + id + "-" + span + "-0":                       {},
		"00-" + id + "-" + span + "-1g":                      {},
		"0x-" + id + "-" + span + "-01":                      {},
		" " + good:                                           {},
		good + " ":                                           {},
		strings.ToUpper(good):                                {},
		strings.ReplaceAll(good, "-", "_"):                   {},
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01": {},
		"00-" + id + "-0000000000000000-01":                  {},
		"":                                                   {}, "00": {}, strings.Repeat("-", 55): {}, strings.Repeat("0", 55): {},
	} {
		gotID, gotSpan, flags, ok := Parse(v)
		if ok != want.ok || flags.IsSampled() != want.sampled {
			t.Errorf("%q: %v, %v", v, ok, flags)
		}
		if ok && (gotID.String() != id || gotSpan.String() != span) {
			t.Errorf("%q: %v, %v", v, gotID, gotSpan)
		}
		if !ok && (gotID.IsValid() || gotSpan.IsValid()) {
			t.Errorf("%q is refused, and leaves %v and %v", v, gotID, gotSpan)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, v := range []string{good, good + "x", strings.ToUpper(good)} {
		if n := testing.AllocsPerRun(100, func() { Parse(v) }); n != 0 {
			t.Errorf("%q: %v allocations", v, n)
		}
	}
}

// FuzzParse compares with OpenTelemetry's own parser.
func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("cc-" + id + "-" + span + "-01-what")
	f.Add("ff-" + id + "-" + span + "-01")
	f.Add("00-" + id + "-" + span + "-09")
	f.Add(good + "-")
	f.Fuzz(func(t *testing.T, v string) {
		gotID, gotSpan, flags, ok := Parse(v)
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(),
			propagation.MapCarrier{"traceparent": v}))
		switch {
		case ok && theirs.IsValid():
			if gotID != theirs.TraceID() || gotSpan != theirs.SpanID() || flags != theirs.TraceFlags()&trace.FlagsSampled {
				t.Errorf("%q: %v %v %v, theirs %v", v, gotID, gotSpan, flags, theirs)
			}
		case ok:
			// They refuse flags that version 00 does not know, which the W3C has one ignore.
			if !strings.HasPrefix(v, "00-") || v[flagsAt:] < "03" {
				t.Errorf("%q is accepted, and they refuse it", v)
			}
		case theirs.IsValid():
			// They overlook a dash at the end.
			if v[:2] != "00" || len(v) != length+1 || v[length] != '-' {
				t.Errorf("%q is refused, and they accept it: %v", v, theirs)
			}
		}
		if ok {
			sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: gotID, SpanID: gotSpan, TraceFlags: flags})
			i2, s2, f2, ok := Parse(Format(sc))
			if !ok || i2 != gotID || s2 != gotSpan || f2 != flags {
				t.Errorf("%q does not survive as %q", v, Format(sc))
			}
			if strings.HasPrefix(v, "00-") && v[flagsAt:] < "02" && Format(sc) != v {
				t.Errorf("%q is written as %q", v, Format(sc))
			}
		}
	})
}
