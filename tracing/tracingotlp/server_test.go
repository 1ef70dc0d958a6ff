package tracingotlp_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// A collector is the receiving half of one: OpenTelemetry's generated service
// on a real server of either protocol.
type collector struct {
	coltracepb.UnimplementedTraceServiceServer
	endpoint string
	roots    *x509.CertPool // nil: plaintext

	mu      sync.Mutex
	spans   map[string]*tracepb.Span // by span id
	twice   int
	headers []string // values of x-tenant
	answer  func(ctx context.Context, call int, spans int) answer
	calls   int
}

// An answer is how the collector behaves; the zero value accepts.
type answer struct {
	status     int        // HTTP
	code       codes.Code // gRPC
	retryAfter int        // seconds
	rejected   int64
	message    string
}

// take is what both protocols do.
func (c *collector) take(ctx context.Context, request *coltracepb.ExportTraceServiceRequest, tenant string) answer {
	var spans []*tracepb.Span
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			spans = append(spans, ss.Spans...)
		}
	}
	c.mu.Lock()
	c.calls++
	call := c.calls
	c.headers = append(c.headers, tenant)
	c.mu.Unlock()
	var a answer
	if c.answer != nil {
		a = c.answer(ctx, call, len(spans))
	}
	if a.status != 0 || a.code != 0 {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range spans[a.rejected:] {
		if c.spans[string(s.SpanId)] != nil {
			c.twice++
		}
		c.spans[string(s.SpanId)] = s
	}
	return a
}

func (a answer) response() *coltracepb.ExportTraceServiceResponse {
	r := new(coltracepb.ExportTraceServiceResponse)
	if a.rejected != 0 || a.message != "" {
		r.PartialSuccess = &coltracepb.ExportTracePartialSuccess{RejectedSpans: a.rejected, ErrorMessage: a.message}
	}
	return r
}

func (c *collector) Export(ctx context.Context, request *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	a := c.take(ctx, request, strings.Join(md.Get("x-tenant"), ","))
	if a.code != 0 {
		s := status.New(a.code, a.message)
		if a.retryAfter > 0 {
			s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(a.retryAfter) * time.Second)})
		}
		return nil, s.Err()
	}
	return a.response(), nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
	}
	b, err := io.ReadAll(body)
	request := new(coltracepb.ExportTraceServiceRequest)
	if err == nil {
		err = proto.Unmarshal(b, request)
	}
	if err != nil || r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint(r.Method, r.URL, err), 400)
		return
	}
	a := c.take(r.Context(), request, r.Header.Get("X-Tenant"))
	if a.status != 0 {
		if a.retryAfter > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(a.retryAfter))
		}
		http.Error(w, a.message, a.status)
		return
	}
	out, err := proto.Marshal(a.response())
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Write(out)
}

// listen starts a collector on a real socket, until the test ends or stop is
// called.
func listen(t *testing.T, protocol tracingotlp.Protocol, secure bool, addr string) (c *collector, stop func()) {
	t.Helper()
	c = &collector{spans: make(map[string]*tracepb.Span)}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	scheme := map[bool]string{false: "http://", true: "https://"}[secure]
	c.endpoint = scheme + l.Addr().String()
	server := httptest.NewUnstartedServer(c)
	server.Listener.Close()
	if secure {
		server.StartTLS() // for its certificate
		defer func() { c.endpoint = scheme + l.Addr().String() }()
		c.roots = x509.NewCertPool()
		c.roots.AddCert(server.Certificate())
	}
	cert := server.TLS
	if protocol == tracingotlp.GRPC {
		var options []grpc.ServerOption
		if secure {
			options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: cert.Certificates})))
			server.Close()
		}
		s := grpc.NewServer(options...)
		coltracepb.RegisterTraceServiceServer(s, c)
		go s.Serve(l)
		t.Cleanup(s.Stop)
		return c, s.Stop
	}
	s := &http.Server{Handler: c}
	if secure {
		server.Close()
		s.TLSConfig = &tls.Config{Certificates: cert.Certificates}
		go s.ServeTLS(l, "", "")
	} else {
		go s.Serve(l)
	}
	t.Cleanup(func() { s.Close() })
	return c, func() { s.Close() }
}

// count is how many spans arrived, and how many of them more than once.
func (c *collector) count() (spans, twice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans), c.twice
}

// provider is one that tells the test of every error.
func provider(t *testing.T, cfg tracingotlp.Config) (*tracingotlp.Provider, *errorLog) {
	t.Helper()
	log := new(errorLog)
	cfg.ServiceName, cfg.OnError = "test", log.add
	if cfg.Ratio == 0 {
		cfg.Ratio = 1
	}
	p, err := tracingotlp.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ended)
	})
	return p, log
}

type errorLog struct {
	mu   sync.Mutex
	text []string
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, err.Error())
}

func (l *errorLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

// end makes n spans.
func end(p *tracingotlp.Provider, n int) {
	tracer := p.TracerProvider().Tracer("test")
	for range n {
		_, span := tracer.Start(context.Background(), "span")
		span.End()
	}
}

// flush waits until it is known what became of all spans.
func flush(t *testing.T, p *tracingotlp.Provider) {
	t.Helper()
	if err := p.TracerProvider().(interface{ ForceFlush(context.Context) error }).ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, p *tracingotlp.Provider) {
	t.Helper()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// each runs a test with both protocols.
func each(t *testing.T, f func(t *testing.T, protocol tracingotlp.Protocol)) {
	for _, protocol := range []tracingotlp.Protocol{tracingotlp.HTTP, tracingotlp.GRPC} {
		t.Run(string(protocol), func(t *testing.T) { f(t, protocol) })
	}
}

// check compares what matters of the stats.
func check(t *testing.T, p *tracingotlp.Provider, want tracingotlp.Stats) {
	t.Helper()
	got := p.Stats()
	want.QueueSize, want.Started = got.QueueSize, want.Ended
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What arrives is what was recorded: by either protocol, in the clear, by TLS,
// and compressed.
func TestDelivers(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		for _, secure := range []bool{false, true} {
			for _, gzip := range []bool{false, true} {
				t.Run(fmt.Sprintf("TLS %v, gzip %v", secure, gzip), func(t *testing.T) {
					c, _ := listen(t, protocol, secure, "127.0.0.1:0")
					cfg := tracingotlp.Config{Endpoint: c.endpoint, Protocol: protocol, Gzip: gzip, Headers: map[string]string{"X-Tenant": "blue"}}
					if secure {
						cfg.TLS = &tls.Config{RootCAs: c.roots, ServerName: "example.com"}
					}
					p, log := provider(t, cfg)
					testDelivers(t, p, c)
					if log.String() != "" {
						t.Error(log)
					}
				})
			}
		}
	})
}

func testDelivers(t *testing.T, p *tracingotlp.Provider, c *collector) {
	tracer := p.TracerProvider().Tracer("test")
	_, other := tracer.Start(t.Context(), "other")
	other.End()
	ctx, parent := tracer.Start(t.Context(), "parent", trace.WithAttributes(attribute.String("long", strings.Repeat("x", 10_000))))
	_, child := tracer.Start(ctx, "child", trace.WithLinks(trace.Link{SpanContext: other.SpanContext()}))
	child.End()
	parent.End()
	closed(t, p)
	check(t, p, tracingotlp.Stats{Ended: 3, Exported: 3, Requests: 1})
	got := make(map[string]*tracepb.Span)
	for _, s := range c.spans {
		got[s.Name] = s
	}
	id := other.SpanContext().SpanID()
	if links := got["child"].GetLinks(); len(links) != 1 || string(links[0].SpanId) != string(id[:]) {
		t.Errorf("links: %v", links)
	}
	if string(got["child"].GetParentSpanId()) != string(got["parent"].GetSpanId()) {
		t.Error("the child has another parent")
	}
	if n := len(got["parent"].GetAttributes()[0].Value.GetStringValue()); n != 4096 {
		t.Errorf("the long attribute has %d characters, want 4096", n)
	}
	if len(c.headers) != 1 || c.headers[0] != "blue" {
		t.Errorf("x-tenant: %q", c.headers)
	}
}

// Many goroutines make spans, the collector is well: it gets each span once.
func TestNothingIsLostOrRepeated(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		c, _ := listen(t, protocol, false, "127.0.0.1:0")
		p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Protocol: protocol, QueueSize: 20_000})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { end(p, 2000) })
		}
		all.Wait()
		closed(t, p)
		if spans, twice := c.count(); spans != 8000 || twice != 0 || p.Stats().Exported != 8000 {
			t.Errorf("%d spans arrived, %d twice; %+v", spans, twice, p.Stats())
		}
	})
}

// A collector that takes the connection and says nothing: nobody waits, and
// Close ends.
func TestHangs(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		c, _ := listen(t, protocol, false, "127.0.0.1:0")
		reached := make(chan struct{}, 100)
		c.answer = func(ctx context.Context, _, _ int) answer {
			reached <- struct{}{}
			<-ctx.Done()
			return answer{status: 500, code: codes.Internal}
		}
		p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Protocol: protocol, QueueSize: 100, BatchSize: 10, CloseTimeout: 50 * time.Millisecond})
		end(p, 1000)
		<-reached
		s := p.Stats()
		if s.Queued > 100 || s.Ended != 1000 || s.DroppedFull < 900-10 {
			t.Errorf("got %+v", s)
		}
		err := p.Close(t.Context())
		if lost, ok := errors.AsType[*tracingotlp.LostError](err); !ok || lost.Spans != uint64(s.Queued) {
			t.Errorf("Close: %v, with %+v", err, s)
		}
		if s := p.Stats(); s.Queued != 0 || s.Dropped() != 1000 {
			t.Errorf("got %+v", s)
		}
	})
}

// 200 MB of spans for a collector that hangs: what stays in memory is bounded.
func TestMemory(t *testing.T) {
	c, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	c.answer = func(ctx context.Context, _, _ int) answer {
		<-ctx.Done()
		return answer{status: 500}
	}
	p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint, QueueBytes: 4 << 20, QueueSize: 1 << 20})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	tracer := p.TracerProvider().Tracer("test")
	for range 50_000 {
		_, span := tracer.Start(context.Background(), "span")
		span.SetAttributes(attribute.String("text", strings.Repeat("x", 4000)))
		span.End()
	}
	// The queue, the request that is under way, and what the server has of it.
	if grown := heap() - before; grown > 20<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if s := p.Stats(); s.QueuedBytes > 4<<20 || s.DroppedFull == 0 || s.Queued+int(s.DroppedFull) != 50_000 {
		t.Errorf("got %+v", s)
	}
}

// An attempt that is not answered ends after ExportTimeout, and the next is on
// another connection: the first may have nobody at its end.
func TestBlackHole(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		c, _ := listen(t, protocol, false, "127.0.0.1:0")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		var connections atomic.Int64
		go func() {
			for {
				in, err := l.Accept()
				if err != nil {
					return
				}
				if connections.Add(1) == 1 {
					continue // it is never read from
				}
				out, err := net.Dial("tcp", strings.TrimPrefix(c.endpoint, "http://"))
				if err != nil {
					in.Close()
					continue
				}
				go func() { io.Copy(out, in); out.Close() }()
				go func() { io.Copy(in, out); in.Close() }()
			}
		}()
		p, _ := provider(t, tracingotlp.Config{Endpoint: "http://" + l.Addr().String(), Protocol: protocol, ExportTimeout: 200 * time.Millisecond})
		end(p, 3)
		flush(t, p)
		check(t, p, tracingotlp.Stats{Ended: 3, Exported: 3, Requests: 2, FailedRequests: 1})
		closed(t, p)
	})
}

// Nobody listens, and then somebody does: nothing is lost.
func TestOutage(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		c, stop := listen(t, protocol, false, "127.0.0.1:0")
		p, log := provider(t, tracingotlp.Config{Endpoint: c.endpoint, Protocol: protocol, BatchSize: 10, CloseTimeout: time.Minute})
		end(p, 10)
		flush(t, p)
		stop()
		end(p, 25)
		for p.Stats().FailedRequests == 0 {
			runtime.Gosched()
		}
		back, _ := listen(t, protocol, false, strings.TrimPrefix(c.endpoint, "http://"))
		closed(t, p)
		if spans, twice := back.count(); spans != 25 || twice != 0 {
			t.Errorf("%d spans arrived, %d of them twice", spans, twice)
		}
		if s := p.Stats(); s.Exported != 35 || log.String() != "" {
			t.Errorf("got %+v, %v", s, log)
		}
	})
}

func TestRefuses(t *testing.T) {
	each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		p, log := provider(t, tracingotlp.Config{Endpoint: "http://" + l.Addr().String(), Protocol: protocol, RetryFor: -1, Headers: map[string]string{"Authorization": "Bearer secret"}})
		end(p, 3)
		flush(t, p)
		check(t, p, tracingotlp.Stats{Ended: 3, Failed: 3, Requests: 1, FailedRequests: 1})
		if text := log.String(); !strings.HasPrefix(text, "tracingotlp: 3 spans given up: ") || !strings.Contains(text, "refused") || strings.Contains(text, "secret") {
			t.Error(text)
		}
		closed(t, p)
	})
}

// How the collector answers, and what becomes of the spans.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for _, c := range []struct {
		name     string
		protocol tracingotlp.Protocol
		answer   answer
		want     tracingotlp.Stats
		log      string
	}{
		{"partial success", tracingotlp.HTTP, answer{rejected: 3, message: "too old"}, tracingotlp.Stats{Exported: 7, Rejected: 3, Requests: 1}, "the collector rejected 3 of 10 spans: too old"},
		{"partial success", tracingotlp.GRPC, answer{rejected: 3, message: "too old"}, tracingotlp.Stats{Exported: 7, Rejected: 3, Requests: 1}, "the collector rejected 3 of 10 spans: too old"},
		{"warning", tracingotlp.HTTP, answer{message: "deprecated"}, tracingotlp.Stats{Exported: 10, Requests: 1}, "the collector rejected 0 of 10 spans: deprecated"},
		{"503", tracingotlp.HTTP, answer{status: 503, message: "later"}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"503 with Retry-After", tracingotlp.HTTP, answer{status: 503, retryAfter: 1, message: "later"}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"429", tracingotlp.HTTP, answer{status: 429}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"400", tracingotlp.HTTP, answer{status: 400, message: "bad \xff spans"}, tracingotlp.Stats{Failed: 10, Requests: 1, FailedRequests: 1}, "10 spans given up: status 400: bad \ufffd spans"},
		{"413, at length", tracingotlp.HTTP, answer{status: 413, message: long}, tracingotlp.Stats{Failed: 10, Requests: 1, FailedRequests: 1}, "10 spans given up: status 413: " + long[:256] + "…"},
		{"Unavailable", tracingotlp.GRPC, answer{code: codes.Unavailable}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"Unavailable with RetryInfo", tracingotlp.GRPC, answer{code: codes.Unavailable, retryAfter: 1}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"ResourceExhausted", tracingotlp.GRPC, answer{code: codes.ResourceExhausted, message: "no"}, tracingotlp.Stats{Failed: 10, Requests: 1, FailedRequests: 1}, "10 spans given up: ResourceExhausted: no"},
		{"ResourceExhausted with RetryInfo", tracingotlp.GRPC, answer{code: codes.ResourceExhausted, retryAfter: 1}, tracingotlp.Stats{Exported: 10, Requests: 2, FailedRequests: 1}, ""},
		{"Unauthenticated", tracingotlp.GRPC, answer{code: codes.Unauthenticated, message: "who"}, tracingotlp.Stats{Failed: 10, Requests: 1, FailedRequests: 1}, "10 spans given up: Unauthenticated: who"},
	} {
		t.Run(c.name+", "+string(c.protocol), func(t *testing.T) {
			t.Parallel()
			to, _ := listen(t, c.protocol, false, "127.0.0.1:0")
			var first, second time.Time
			to.answer = func(_ context.Context, call, _ int) answer {
				if call > 1 {
					second = time.Now()
					return answer{}
				}
				first = time.Now()
				return c.answer
			}
			p, log := provider(t, tracingotlp.Config{Endpoint: to.endpoint, Protocol: c.protocol})
			end(p, 10)
			flush(t, p)
			closed(t, p)
			c.want.Ended = 10
			check(t, p, c.want)
			if spans, _ := to.count(); spans != int(c.want.Exported) {
				t.Errorf("%d spans arrived", spans)
			}
			if got := strings.TrimPrefix(log.String(), "tracingotlp: "); got != c.log {
				t.Errorf("OnError was told %q, want %q", got, c.log)
			}
			if c.answer.retryAfter > 0 && c.want.Exported > 0 && second.Sub(first) < time.Second {
				t.Errorf("it came again after %v", second.Sub(first))
			}
		})
	}
}

// A server that repeats the key that it does not know does not get it into logs, nor
// lines of its own.
func TestHeadersAreInNoError(t *testing.T) {
	const key = "key-of-all-keys"
	for _, a := range []answer{
		{status: 401, code: codes.Unauthenticated, message: "unknown key: Bearer " + key + "\r\n\x1b[2Jroot logged in\u2028"},
		{rejected: 1, message: "not with " + key},
	} {
		each(t, func(t *testing.T, protocol tracingotlp.Protocol) {
			to, _ := listen(t, protocol, false, "127.0.0.1:0")
			to.answer = func(context.Context, int, int) answer { return a }
			headers := map[string]string{"Authorization": "Bearer " + key}
			p, log := provider(t, tracingotlp.Config{Endpoint: to.endpoint, Protocol: protocol, Headers: headers})
			clear(headers)
			end(p, 1)
			err := p.Close(t.Context())
			got := log.String()
			if strings.Contains(got, key) || strings.ContainsAny(got, "\r\n\x1b\u2028") || !strings.Contains(got, "[redacted]") {
				t.Errorf("OnError was told %q", got)
			}
			if err == nil || strings.Contains(err.Error(), key) {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// A redirect is not followed: what Headers hold is for the endpoint alone.
func TestRedirect(t *testing.T) {
	var followed atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer other.Close()
	from := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer from.Close()
	p, log := provider(t, tracingotlp.Config{Endpoint: from.URL})
	end(p, 1)
	flush(t, p)
	check(t, p, tracingotlp.Stats{Ended: 1, Failed: 1, Requests: 1, FailedRequests: 1})
	if followed.Load() || !strings.Contains(log.String(), "status 307") {
		t.Errorf("followed: %v; %v", followed.Load(), log)
	}
}

// An answer without end is not read to its end.
func TestEndlessAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		for r.Context().Err() == nil {
			w.Write(make([]byte, 1<<16))
		}
	}))
	defer server.Close()
	p, _ := provider(t, tracingotlp.Config{Endpoint: server.URL})
	end(p, 1)
	flush(t, p)
	check(t, p, tracingotlp.Stats{Ended: 1, Exported: 1, Requests: 1})
	closed(t, p)
}

// After Close there is nothing to sample for.
func TestAfterClose(t *testing.T) {
	c, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	p, _ := provider(t, tracingotlp.Config{Endpoint: c.endpoint})
	tracer := p.TracerProvider().Tracer("test")
	ctx, late := tracer.Start(t.Context(), "late")
	closed(t, p)
	late.End()
	_, root := tracer.Start(t.Context(), "root")
	_, child := tracer.Start(ctx, "child")
	if root.IsRecording() || child.IsRecording() || !root.SpanContext().IsValid() {
		t.Errorf("after Close: root %v, child %v", root, child)
	}
	if s := p.Stats(); s.Started != 1 || s.Ended != 1 || s.DroppedClosed != 1 {
		t.Errorf("got %+v", s)
	}
}

// A provider is nobody's but its owner's: neither global provider nor global
// error handler know of it, whatever happens to it.
func TestNoGlobals(t *testing.T) {
	before := otel.GetTracerProvider()
	var handled atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { handled.Add(1); t.Log(err) }))
	c, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	c.answer = func(_ context.Context, call, _ int) answer {
		return []answer{{status: 400}, {rejected: 1, message: "no"}, {}}[min(call, 3)-1]
	}
	p, log := provider(t, tracingotlp.Config{Endpoint: c.endpoint, BatchSize: 1})
	for range 3 {
		end(p, 1)
		flush(t, p)
	}
	closed(t, p)
	if n := handled.Load(); n != 0 || strings.Count(log.String(), "tracingotlp:") != 2 {
		t.Errorf("the global handler was told %d errors, OnError %v", n, log)
	}
	if otel.GetTracerProvider() != before {
		t.Error("the global provider is another")
	}
}

// Two providers do not know of each other.
func TestTwo(t *testing.T) {
	a, _ := listen(t, tracingotlp.HTTP, false, "127.0.0.1:0")
	b, _ := listen(t, tracingotlp.GRPC, false, "127.0.0.1:0")
	first, _ := provider(t, tracingotlp.Config{Endpoint: a.endpoint})
	second, _ := provider(t, tracingotlp.Config{Endpoint: b.endpoint, Protocol: tracingotlp.GRPC})
	end(first, 3)
	closed(t, first)
	end(second, 4)
	closed(t, second)
	inA, _ := a.count()
	inB, _ := b.count()
	if inA != 3 || inB != 4 {
		t.Errorf("%d and %d spans", inA, inB)
	}
}

func TestUnsampledAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p, _ := provider(t, tracingotlp.Config{Ratio: -1})
	tracer := p.TracerProvider().Tracer("test")
	n := testing.AllocsPerRun(1000, func() {
		_, span := tracer.Start(context.Background(), "span")
		span.End()
	})
	if n > 2 { // the span and its context
		t.Errorf("%v allocations", n)
	}
}
