package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/internal/reqstate"
)

var schemas = []Schema{Guide, ECS, OTel, GCP}

// The contract of slog.Handler, in every schema and format, under our names for
// the built-in keys.
func TestSlogContract(t *testing.T) {
	for _, schema := range schemas {
		for _, format := range []Format{JSON, Console} {
			t.Run(fmt.Sprint(schema, "/", format), func(t *testing.T) {
				var buf *bytes.Buffer
				var l *Logger
				slogtest.Run(t, func(t *testing.T) slog.Handler {
					l, buf = newTest(t, Config{Schema: schema, Format: format})
					return l.Slog().Handler()
				}, func(t *testing.T) map[string]any { return asSlog(t, l, buf) })
			})
		}
	}
}

// asSlog reads buf's only record under slog's names.
func asSlog(t *testing.T, l *Logger, buf *bytes.Buffer) map[string]any {
	t.Helper()
	if l.console {
		return consoleAsSlog(t, buf)
	}
	m := line(t, buf)
	if inner, ok := m["attributes"].(map[string]any); ok {
		delete(m, "attributes")
		maps.Copy(m, inner)
	}
	for ours, theirs := range map[string]string{l.keys.time.name: slog.TimeKey, l.keys.level.name: slog.LevelKey, l.keys.message.name: slog.MessageKey} {
		if v, ok := m[ours]; ok {
			delete(m, ours)
			m[theirs] = v
		}
	}
	return m
}

func consoleAsSlog(t *testing.T, buf *bytes.Buffer) map[string]any {
	t.Helper()
	columns := strings.Split(strings.TrimSuffix(buf.String(), "\n"), "\t")
	m := make(map[string]any)
	if last := columns[len(columns)-1]; strings.HasPrefix(last, "{") {
		if err := json.Unmarshal([]byte(last), &m); err != nil {
			t.Fatalf("%v in %q", err, last)
		}
		columns = columns[:len(columns)-1]
	}
	if _, err := time.Parse(time.RFC3339Nano, columns[0]); err == nil {
		m[slog.TimeKey] = columns[0]
		columns = columns[1:]
	}
	m[slog.LevelKey], m[slog.MessageKey] = columns[0], columns[1]
	return m
}

func TestLevelsDoNotCollapse(t *testing.T) {
	for _, schema := range schemas {
		l, buf := newTest(t, Config{Schema: schema, Level: minLevel})
		seen := make(map[string]slog.Level)
		for level := minLevel; level <= maxLevel; level++ {
			l.Slog().Log(t.Context(), level, "x")
			m := line(t, buf)
			text := fmt.Sprint(m[l.keys.level.name], m["level"])
			if other, ok := seen[text]; ok {
				t.Errorf("%v: %d and %d are both %s", schema, level, other, text)
			}
			seen[text] = level
		}
	}
	for level, want := range map[slog.Level]string{-8: "1 DEBUG", -4: "5 DEBUG", 0: "9 INFO", 1: "10 INFO", 2: "11 NOTICE", 4: "13 WARNING", 8: "17 ERROR", 12: "21 CRITICAL", 16: "24 ALERT", 20: "24 EMERGENCY"} {
		if got := fmt.Sprint(severityNumber(level), " ", severity(level)); got != want {
			t.Errorf("%d: %s, want %s", level, got, want)
		}
	}
}

// traced is a span's ids.
var traced = struct {
	trace [16]byte
	span  [8]byte
}{[16]byte{0xab, 15: 1}, [8]byte{0xcd, 7: 2}}

const traceHex, spanHex = "ab000000000000000000000000000001", "cd00000000000002"

// One request's three records in each schema: the service's, the panic's, the
// access record. This is API: what changes here breaks somebody's dashboard.
func TestSchemas(t *testing.T) {
	for schema, want := range map[Schema][3]string{
		Guide: {
			`{"exception":"stack","function":"TestSchemas.func1","level":"WARN","line":0,"logger":"serving","message":"late","model_id":"digits","module":"github.com/ballast-go/ballast/logging","request_id":"r-1","span_id":"S","timestamp":"T","trace_id":"D"}`,
			`{"exception":"panic","level":"ERROR","logger":"serving","message":"panic","method":"POST","request_id":"r-1","span_id":"S","timestamp":"T","trace_id":"D"}`,
			`{"bytes_in":0,"bytes_out":0,"duration_ms":0,"level":"ERROR","logger":"serving","message":"request","method":"POST","outcome":"panic","remote":"192.0.2.1:1234","request_id":"r-1","route":"/predict","sent_status":0,"span_id":"S","status":500,"subject":"alice","timestamp":"T","trace_id":"D","user_agent":"curl"}`,
		},
		ECS: {
			`{"@timestamp":"T","ecs.version":"8.11.0","error.stack_trace":"stack","http.request.id":"r-1","log.level":"warn","log.logger":"serving","log.origin.file.line":0,"log.origin.file.name":"github.com/ballast-go/ballast/logging/schema_test.go","log.origin.function":"github.com/ballast-go/ballast/logging.TestSchemas.func1","message":"late","model_id":"digits","span.id":"S","trace.id":"D"}`,
			`{"@timestamp":"T","ecs.version":"8.11.0","error.message":"boom","error.stack_trace":"panic","http.request.id":"r-1","http.request.method":"POST","log.level":"error","log.logger":"serving","message":"panic","span.id":"S","trace.id":"D"}`,
			`{"@timestamp":"T","client.address":"192.0.2.1:1234","ecs.version":"8.11.0","event.duration":0,"http.request.body.bytes":0,"http.request.id":"r-1","http.request.method":"POST","http.response.body.bytes":0,"http.response.status_code":500,"labels.outcome":"panic","labels.route":"/predict","labels.sent_status":0,"log.level":"error","log.logger":"serving","message":"request","span.id":"S","trace.id":"D","user.id":"alice","user_agent.original":"curl"}`,
		},
		OTel: {
			`{"attributes":{"code.file.path":"github.com/ballast-go/ballast/logging/schema_test.go","code.function.name":"github.com/ballast-go/ballast/logging.TestSchemas.func1","code.line.number":0,"exception.stacktrace":"stack","model_id":"digits","request_id":"r-1"},"body":"late","scope_name":"serving","severity_number":13,"severity_text":"WARN","span_id":"S","timestamp":"T","trace_id":"D"}`,
			`{"attributes":{"exception.message":"boom","exception.stacktrace":"panic","http.request.method":"POST","request_id":"r-1"},"body":"panic","scope_name":"serving","severity_number":17,"severity_text":"ERROR","span_id":"S","timestamp":"T","trace_id":"D"}`,
			`{"attributes":{"ballast.outcome":"panic","ballast.sent_status":0,"enduser.id":"alice","http.request.body.size":0,"http.request.method":"POST","http.response.body.size":0,"http.response.status_code":500,"http.route":"/predict","http.server.request.duration":0,"network.peer.address":"192.0.2.1","network.peer.port":1234,"request_id":"r-1","user_agent.original":"curl"},"body":"request","scope_name":"serving","severity_number":17,"severity_text":"ERROR","span_id":"S","timestamp":"T","trace_id":"D"}`,
		},
		GCP: {
			`{"logger":"serving","logging.googleapis.com/sourceLocation":{"file":"github.com/ballast-go/ballast/logging/schema_test.go","function":"github.com/ballast-go/ballast/logging.TestSchemas.func1","line":"0"},"logging.googleapis.com/spanId":"S","logging.googleapis.com/trace":"projects/p/traces/D","logging.googleapis.com/trace_sampled":true,"message":"late","model_id":"digits","request_id":"r-1","severity":"WARNING","stack_trace":"stack","time":"T"}`,
			`{"httpRequest":{"requestMethod":"POST"},"logger":"serving","logging.googleapis.com/spanId":"S","logging.googleapis.com/trace":"projects/p/traces/D","logging.googleapis.com/trace_sampled":true,"message":"panic","request_id":"r-1","severity":"ERROR","stack_trace":"panic","time":"T"}`,
			`{"httpRequest":{"latency":"0s","remoteIp":"192.0.2.1:1234","requestMethod":"POST","requestSize":"0","responseSize":"0","status":500,"userAgent":"curl"},"logger":"serving","logging.googleapis.com/spanId":"S","logging.googleapis.com/trace":"projects/p/traces/D","logging.googleapis.com/trace_sampled":true,"message":"request","outcome":"panic","request_id":"r-1","route":"/predict","sent_status":0,"severity":"ERROR","subject":"alice","time":"T"}`,
		},
	} {
		l, buf := newTest(t, Config{Name: "serving", Schema: schema, GCPProject: "p"})
		mux := http.NewServeMux()
		mux.HandleFunc("/predict", func(_ http.ResponseWriter, r *http.Request) {
			l.Slog().WarnContext(r.Context(), "late", "model_id", "digits", "exception", "stack")
			panic("boom")
		})
		begin := func(w http.ResponseWriter, r *http.Request) {
			s := reqstate.FromContext(r.Context())
			s.SetTrace(traced.trace, traced.span, true)
			s.SetSubject("alice")
			Recover(l)(mux).ServeHTTP(w, r)
		}
		r := httptest.NewRequest("POST", "/predict", nil)
		r.Header.Set("User-Agent", "curl")
		r.Header.Set("X-Request-Id", "r-1")
		Middleware(l, MiddlewareConfig{TrustRequestID: func(*http.Request) bool { return true }})(http.HandlerFunc(begin)).
			ServeHTTP(httptest.NewRecorder(), r)
		for i, got := range lines(t, buf) {
			// sent_status is 500 here, as sent by Recover inside; the golden text has what stays the same.
			text := still(t, got)
			if text != still(t, decode(t, want[i])) {
				t.Errorf("%v, record %d:\n got %s\nwant %s", schema, i, text, still(t, decode(t, want[i])))
			}
		}
	}
}

func decode(t *testing.T, text string) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// still is m with what changes from run to run replaced.
func still(t *testing.T, m map[string]any) string {
	t.Helper()
	var walk func(m map[string]any)
	walk = func(m map[string]any) {
		for k, v := range m {
			switch k {
			case "timestamp", "@timestamp", "time":
				m[k] = "T"
			case "line", "log.origin.file.line", "code.line.number", "bytes_in", "http.request.body.bytes", "http.request.body.size", "requestSize", "bytes_out", "http.response.body.bytes", "http.response.body.size", "duration_ms", "event.duration", "http.server.request.duration",
				"responseSize", "latency":
				m[k] = reflect.Zero(reflect.TypeOf(v)).Interface()
			case "sent_status", "labels.sent_status", "ballast.sent_status":
				delete(m, k)
			}
			switch v := v.(type) {
			case map[string]any:
				walk(v)
			case string:
				v = strings.ReplaceAll(strings.ReplaceAll(v, traceHex, "D"), spanHex, "S")
				if strings.HasPrefix(v, "panic: boom\n\ngoroutine") {
					v = "panic"
				}
				if k != "timestamp" && k != "@timestamp" && k != "time" && k != "line" && k != "requestSize" && k != "responseSize" && k != "latency" {
					m[k] = v
				}
			}
		}
	}
	walk(m)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A call's record has no field of HTTP's but those that it shares.
func TestCallSchemas(t *testing.T) {
	rec := &reqstate.Record{RPC: "/p.S/M", Route: "/p.S/M", Code: 5, Status: 404, MessagesIn: 1, Duration: time.Second, Remote: "192.0.2.1:1", RequestID: "r-1", Subject: "alice"}
	for schema, want := range map[Schema]string{
		Guide: `"duration_ms":1000,"remote":"192.0.2.1:1","rpc":"/p.S/M","code":5,"messages_in":1,"outcome":"complete","subject":"alice"}`,
		ECS:   `"event.duration":1000000000,"client.address":"192.0.2.1:1","labels.rpc":"/p.S/M","labels.code":5,"labels.messages_in":1,"labels.outcome":"complete","user.id":"alice"}`,
		OTel:  `"rpc.server.call.duration":1,"network.peer.address":"192.0.2.1","network.peer.port":1,"rpc.method":"/p.S/M","rpc.grpc.status_code":5,"ballast.messages_in":1,"ballast.outcome":"complete","enduser.id":"alice"}}`,
		GCP:   `"httpRequest":{"latency":"1s","remoteIp":"192.0.2.1:1"},"rpc":"/p.S/M","code":5,"messages_in":1,"outcome":"complete","subject":"alice"}`,
	} {
		l, buf := newTest(t, Config{Schema: schema})
		l.WriteAccess(rec, nil, nil)
		if !strings.HasSuffix(buf.String(), want+"\n") {
			t.Errorf("%v: %s", schema, buf)
		}
	}
}

// Units: milliseconds, nanoseconds, seconds, and text.
func TestDurationUnits(t *testing.T) {
	for schema, want := range map[Schema]string{Guide: `1.5`, ECS: `1500000`, OTel: `0.0015`, GCP: `"0.0015s"`} {
		l, buf := newTest(t, Config{Schema: schema})
		r := l.begin("", 0, time.Time{}, "x", ids{})
		r.dur(l.keys.duration, 1500*time.Microsecond)
		if err := l.end(r); err != nil || !strings.Contains(buf.String(), l.keys.duration.name+`":`+want) {
			t.Errorf("%v: %s %v", schema, buf, err)
		}
	}
}

// Neither an attribute nor a client's text makes a second member of a built-in
// field's name, and an error stands where the schema has errors.
func TestNamesAreUnique(t *testing.T) {
	for _, schema := range schemas {
		l, buf := newTest(t, Config{Name: "n", Schema: schema})
		ctx := context.WithValue(t.Context(), spanKey{}, true)
		l.trace = spanOf
		var attrs []any
		for _, name := range builtInNames(l) {
			attrs = append(attrs, name, "forged")
		}
		for _, log := range []func(){
			func() { l.Slog().InfoContext(ctx, "true", attrs...) },
			func() { l.Slog().With(attrs...).InfoContext(ctx, "true") },
			func() { l.Slog().InfoContext(ctx, "true", slog.Group("", attrs...)) },
			func() { l.Slog().WithGroup(l.keys.level.name).InfoContext(ctx, "true", "a", 1) },
			func() {
				l.Slog().InfoContext(ctx, "true", slog.Group(l.keys.message.name, "a", 1), slog.Group(l.keys.traceID.name, "a", 1), slog.Group(l.keys.level.name, "a", 1))
			},
		} {
			log()
			unique(t, json.NewDecoder(bytes.NewReader(buf.Bytes())), true)
			m := line(t, buf)
			if m[l.keys.message.name] != "true" || m[l.keys.level.name] == "forged" || m[l.keys.time.name] == "forged" {
				t.Errorf("%v: %v", schema, m)
			}
		}

		l.Slog().Info("x", "error", errors.New("bad"), "exception", "stack")
		m := line(t, buf)
		if inner, ok := m["attributes"].(map[string]any); ok {
			m = inner
		}
		text, stack := l.keys.errorMessage.name, l.keys.exception.name
		if text == "" {
			text = "error"
		}
		if m[text] != "bad" || m[stack] != "stack" {
			t.Errorf("%v: %v", schema, m)
		}
	}
	l, buf := newTest(t, Config{Schema: ECS})
	l.Slog().Info("x", "http", "text", "log", 1, "error", 7)
	if m := line(t, buf); m["attr.http"] != "text" || m["attr.log"] != 1.0 || m["attr.error"] != 7.0 {
		t.Errorf("%v", m)
	}
}

// What With has encoded before the ids came, what two names of ours would both be
// called by a schema, and what zap brings beside its fields, is there once too.
func TestNamesThatMeet(t *testing.T) {
	ctx := reqstate.NewCall(t.Context(), "/s/m", "", "")
	ctx.SetRequestID("id")
	ctx.SetTrace(traced.trace, traced.span, true)
	ctx.SetSubject("alice")
	for _, schema := range schemas {
		l, buf := newTest(t, Config{Schema: schema})
		for _, k := range []key{l.keys.requestID, l.keys.traceID, l.keys.spanID} {
			l.Slog().With(slog.Group(k.name, "a", 1)).InfoContext(ctx, "x")
			l.Slog().WithGroup(k.name).With("a", 1).InfoContext(ctx, "x", "b", 2)
		}
		bad, worse := errors.New("bad"), errors.New("worse")
		l.Slog().Info("x", "error", bad, "err", worse)
		l.Slog().With("err", bad).Info("x", "error", worse)
		l.Slog().With("err", bad).With("error", worse).Info("x")
		entry := zapcore.Entry{Message: "x", Stack: "stack"}
		if err := l.ZapCore().Write(entry, []zapcore.Field{zap.String("exception", "field")}); err != nil {
			t.Error(err)
		}
		if err := l.ZapCore().With([]zapcore.Field{zap.String("exception", "field")}).Write(entry, nil); err != nil {
			t.Error(err)
		}
		own := []slog.Attr{slog.String(l.keys.subject.name, "forged"), slog.Group("", slog.String("tenant", "forged"), slog.Int("usage_id", 1))}
		l.Usage(ctx, Usage{Tenant: "acme", Attrs: own})
		for d := json.NewDecoder(bytes.NewReader(buf.Bytes())); d.More(); {
			unique(t, d, true)
		}
		if all := buf.String(); strings.Count(all, `"bad"`) != 3 || strings.Count(all, `"worse"`) != 3 {
			t.Error(all)
		}
	}
}

// The same of access records, whose attributes anybody adds, and of audit records.
func TestAccessNamesAreUnique(t *testing.T) {
	for _, schema := range schemas {
		l, buf := newTest(t, Config{Name: "n", Schema: schema})
		var attrs []slog.Attr
		for _, name := range builtInNames(l) {
			attrs = append(attrs, slog.String(name, "forged"))
		}
		for len(attrs) > 0 { // a request may have 32
			n := min(len(attrs), 32)
			h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := reqstate.FromContext(r.Context())
				s.SetTrace(traced.trace, traced.span, true)
				s.SetSubject("alice")
				s.AddAttrs(attrs[:n]...)
				w.WriteHeader(503)
				http.NewResponseController(w).Flush()
				l.Audit(r.Context(), "x", attrs[:n]...)
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			for d := json.NewDecoder(buf); d.More(); {
				unique(t, d, true)
			}
			attrs = attrs[n:]
		}
	}
}

type spanKey struct{}

func spanOf(ctx context.Context) ([16]byte, [8]byte, bool) {
	if ctx.Value(spanKey{}) == nil {
		return [16]byte{}, [8]byte{}, false
	}
	return traced.trace, traced.span, true
}

// builtInNames are those of l's schema, each once.
func builtInNames(l *Logger) []string {
	names := make(map[string]bool)
	for _, c := range columns {
		names[(*c.field(l.keys)).name] = true
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

// unique reads one object and fails t if a name repeats in it.
func unique(t *testing.T, d *json.Decoder, top bool) {
	t.Helper()
	seen := make(map[string]bool)
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		t.Fatal(tok, err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		key := name.(string)
		if seen[key] {
			t.Errorf("%s twice", key)
		}
		seen[key] = true
		if key == "attributes" && top {
			unique(t, d, false)
			continue
		}
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
}

// The span that a context is in wins over the request's, and the trace's ids are
// there whether or not it is sampled.
func TestTraceContext(t *testing.T) {
	l, buf := newTest(t, Config{TraceContext: spanOf})
	inner := [8]byte{9}
	reqstate.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := reqstate.FromContext(r.Context())
		s.SetTrace(traced.trace, inner, false)
		s.SetRequestID("r-1")
		l.Slog().InfoContext(r.Context(), "server span")
		l.Slog().InfoContext(context.WithValue(r.Context(), spanKey{}, true), "child span")
		l.Audit(context.WithValue(r.Context(), spanKey{}, true), "audited")
	}), silent{})
	l.Slog().InfoContext(context.WithValue(t.Context(), spanKey{}, true), "no request")
	l.Slog().Info("nothing")
	for i, want := range []string{traceHex + " 0900000000000000 r-1", traceHex + " " + spanHex + " r-1", traceHex + " " + spanHex + " r-1", traceHex + " " + spanHex + " <nil>", "<nil> <nil> <nil>"} {
		m := lines1(t, buf, i)
		if got := fmt.Sprint(m["trace_id"], " ", m["span_id"], " ", m["request_id"]); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	l.trace = func(context.Context) ([16]byte, [8]byte, bool) { panic("broken") }
	buf.Reset()
	l.Slog().Info("x")
	if line(t, buf)["message"] != "x" {
		t.Error("a broken TraceContext cost the record")
	}
}

// lines1 is record i of buf, which it leaves as it is.
func lines1(t *testing.T, buf *bytes.Buffer, i int) map[string]any {
	t.Helper()
	return lines(t, bytes.NewBuffer(slices.Clone(buf.Bytes())))[i]
}

type silent struct{}

func (silent) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (silent) Finish(*reqstate.Record)                                   {}

func TestGCPProject(t *testing.T) {
	l, buf := newTest(t, Config{Schema: GCP, GCPProject: "a\"b\n", TraceContext: spanOf})
	l.Slog().InfoContext(context.WithValue(t.Context(), spanKey{}, true), "x")
	if got := line(t, buf)[l.keys.traceID.name].(string); !strings.HasPrefix(got, "projects/a\"b\n/traces/") {
		t.Error(got)
	}
}

func TestSchemaText(t *testing.T) {
	for _, want := range schemas {
		text, err := want.MarshalText()
		var got Schema
		if err != nil || got.UnmarshalText(text) != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	var s Schema
	if err := s.UnmarshalText([]byte("syslog")); err == nil || !strings.Contains(err.Error(), "ecs") {
		t.Error(err)
	}
	if Schema(9).String() != "Schema(9)" {
		t.Error(Schema(9))
	}
	if _, err := New(Config{Schema: 9}); err == nil || !strings.Contains(err.Error(), "Config.Schema") {
		t.Error(err)
	}
}

// No source is asked for where none is wanted.
func TestOmitSource(t *testing.T) {
	l, buf := newTest(t, Config{OmitSource: true})
	l.Slog().Info("x")
	if m := line(t, buf); m["module"] != nil || m["line"] != nil || len(m) != 3 {
		t.Errorf("%v", m)
	}
}
