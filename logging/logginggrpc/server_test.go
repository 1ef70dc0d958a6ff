package logginggrpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/logging/logginggrpc"
)

const secret = "hunter2"

func chain(l *logging.Logger, cfg logginggrpc.ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(logginggrpc.RecoverUnary(l), logginggrpc.UnaryServerInterceptor(l, cfg)),
		grpc.ChainStreamInterceptor(logginggrpc.RecoverStream(l), logginggrpc.StreamServerInterceptor(l, cfg)),
	}
}

// Each way that a call ends gives one record that says how.
func TestUnaryRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		handle  func(ctx context.Context, n int64) (int64, error)
		code    codes.Code // for the client
		outcome string
		level   string
	}{
		"well":        {nil, codes.OK, "complete", "INFO"},
		"not found":   {fails(status.Error(codes.NotFound, secret)), codes.NotFound, "complete", "INFO"},
		"too many":    {fails(status.Error(codes.ResourceExhausted, secret)), codes.ResourceExhausted, "complete", "INFO"},
		"internal":    {fails(status.Error(codes.Internal, secret)), codes.Internal, "complete", "ERROR"},
		"unavailable": {fails(status.Error(codes.Unavailable, secret)), codes.Unavailable, "complete", "ERROR"},
		"plain error": {fails(errors.New(secret)), codes.Unknown, "complete", "ERROR"},
		"a context's": {fails(context.DeadlineExceeded), codes.DeadlineExceeded, "timeout", "ERROR"},
		"panic":       {func(context.Context, int64) (int64, error) { panic(secret) }, codes.Internal, "panic", "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			l, out := newLogger(t)
			cc, stop := serve(t, numbers{unary: tt.handle}, chain(l, logginggrpc.ServerConfig{}))
			_, err := call(t.Context(), cc, 7)
			if status.Code(err) != tt.code {
				t.Errorf("the client got %v", err)
			}
			stop()
			records := out.records(t, "request")
			if len(records) != 1 {
				t.Fatalf("logged %s", out)
			}
			m := records[0]
			for key, want := range map[string]any{
				"rpc": service + "Unary", "code": float64(tt.code), "outcome": tt.outcome, "level": tt.level, "remote": "bufconn",
			} {
				if m[key] != want {
					t.Errorf("%s is %v, want %v", key, m[key], want)
				}
			}
			if id, _ := m["request_id"].(string); len(id) != 32 {
				t.Errorf("request_id is %v", m["request_id"])
			}
			if ua, _ := m["user_agent"].(string); !strings.HasPrefix(ua, "grpc-go/") {
				t.Errorf("user_agent is %v", m["user_agent"])
			}
			panics := out.records(t, "panic")
			if (tt.outcome == "panic") != (len(panics) == 1) {
				t.Fatalf("logged %s", out)
			}
			for _, p := range panics {
				if p["request_id"] != m["request_id"] || !strings.Contains(p["exception"].(string), "TestUnaryRecords") {
					t.Errorf("logged %v", p)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the client is told %v", err)
				}
			}
			if len(panics) == 0 && strings.Contains(out.String(), secret) {
				t.Errorf("the error's text is logged: %s", out)
			}
		})
	}
}

func fails(err error) func(context.Context, int64) (int64, error) {
	return func(context.Context, int64) (int64, error) { return 0, err }
}

// A client that goes away is no failure of the server's, whatever it returns. (One
// whose deadline has passed does, too, and may be seen as either.)
func TestClientGone(t *testing.T) {
	l, out := newLogger(t)
	begun := make(chan struct{})
	cc, stop := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		close(begun)
		<-ctx.Done()
		return n, nil // as if all were well
	}}, chain(l, logginggrpc.ServerConfig{}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := call(ctx, cc, 7); status.Code(err) != codes.Canceled {
		t.Errorf("the client got %v", err)
	}
	stop()
	if m := out.records(t, "request"); len(m) != 1 || m[0]["outcome"] != "client-gone" || m[0]["code"] != 1.0 || m[0]["level"] != "INFO" {
		t.Errorf("logged %s", out)
	}
}

// An answer that comes after the deadline has nobody to get it.
func TestDeadline(t *testing.T) {
	l, out := newLogger(t)
	_, err := logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{})(expired{t.Context()}, nil,
		&grpc.UnaryServerInfo{FullMethod: "/a/B"}, func(context.Context, any) (any, error) { return nil, nil })
	if err != nil {
		t.Error(err)
	}
	if m := out.records(t, "request"); len(m) != 1 || m[0]["outcome"] != "timeout" || m[0]["code"] != 4.0 || m[0]["level"] != "ERROR" {
		t.Errorf("logged %s", out)
	}
}

// expired is a context that ran out of time.
type expired struct{ context.Context }

func (expired) Err() error { return context.DeadlineExceeded }

func TestStreamRecords(t *testing.T) {
	l, out := newLogger(t)
	cc, stop := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
		if err := echoes(stream); err != nil {
			return err
		}
		if md, _ := metadata.FromIncomingContext(stream.Context()); len(md.Get("fail")) > 0 {
			return status.Error(codes.DataLoss, secret)
		}
		if md, _ := metadata.FromIncomingContext(stream.Context()); len(md.Get("panic")) > 0 {
			panic(secret)
		}
		return nil
	}}, chain(l, logginggrpc.ServerConfig{}))
	for _, how := range []string{"well", "fail", "panic"} {
		s, err := cc.NewStream(metadata.AppendToOutgoingContext(t.Context(), how, "1"), &chat, service+"Chat")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			if err := send(s, int64(n)); err != nil {
				t.Fatal(err)
			}
			if got, err := receive(s); err != nil || got != int64(n) {
				t.Fatalf("got %d, %v", got, err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		_, err = receive(s)
		if want := map[string]codes.Code{"well": codes.OK, "fail": codes.DataLoss, "panic": codes.Internal}[how]; err != io.EOF && status.Code(err) != want {
			t.Errorf("%s: %v", how, err)
		}
	}
	stop()
	records := out.records(t, "request")
	if len(records) != 3 {
		t.Fatalf("logged %s", out)
	}
	for i, want := range []struct {
		outcome string
		code    float64
	}{{"complete", 0}, {"error-event", 15}, {"panic", 13}} {
		m := records[i]
		if m["outcome"] != want.outcome || m["code"] != want.code || m["chunks"] != 3.0 || m["messages_in"] != 3.0 {
			t.Errorf("%d: %v", i, m)
		}
		if _, ok := m["longest_gap_ms"]; !ok {
			t.Errorf("%d: %v", i, m)
		}
	}
}

// runtime.Goexit ends the call, and the account says so. grpc-go leaves the client
// without an answer then.
func TestGoexit(t *testing.T) {
	l, out := newLogger(t)
	cc, stop := serve(t, numbers{unary: func(context.Context, int64) (int64, error) {
		runtime.Goexit()
		return 0, nil
	}}, chain(l, logginggrpc.ServerConfig{}))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, cc, 7); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the client got %v", err)
	}
	stop()
	records := out.records(t, "request")
	if len(records) != 1 || records[0]["outcome"] != "aborted" || records[0]["code"] != 13.0 {
		t.Errorf("logged %s", out)
	}
}

// The request's id is the call's own unless a peer is trusted that names one.
func TestRequestID(t *testing.T) {
	var trusted bool
	l, out := newLogger(t)
	var header metadata.MD
	cc, stop := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		l.Slog().InfoContext(ctx, "inside")
		if logging.RequestID(ctx) == "" {
			t.Error("no id inside")
		}
		return n, nil
	}}, chain(l, logginggrpc.ServerConfig{
		TrustRequestID:  func(_ context.Context, method string) bool { return trusted && method == service+"Unary" },
		AnswerRequestID: true,
	}), grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoker(ctx, method, req, reply, cc, append(opts, grpc.Header(&header))...)
	}))
	var given []string
	for _, tt := range []struct {
		trusted bool
		ids     []string
		kept    bool
	}{{false, []string{"abc"}, false}, {true, []string{"abc"}, true}, {true, []string{"a b"}, false}, {true, []string{"a", "b"}, false}, {true, []string{strings.Repeat("a", 65)}, false}} {
		trusted = tt.trusted
		ctx := t.Context()
		for _, id := range tt.ids {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
		}
		if _, err := call(ctx, cc, 1); err != nil {
			t.Fatal(err)
		}
		got := header.Get("x-request-id")
		if len(got) != 1 || tt.kept != (got[0] == tt.ids[0]) {
			t.Errorf("%+v: answered %q", tt, got)
		}
		given = append(given, got...)
	}
	stop()
	inside, records := out.records(t, "inside"), out.records(t, "request")
	for i, id := range given {
		if inside[i]["request_id"] != id || records[i]["request_id"] != id {
			t.Errorf("%d: %v, %v, want %s", i, inside[i], records[i], id)
		}
	}
}

func TestLevelsAndSample(t *testing.T) {
	l, out := newLogger(t)
	cc, stop := serve(t, numbers{unary: func(_ context.Context, n int64) (int64, error) {
		if n == 2 {
			return 0, status.Error(codes.Internal, "")
		}
		return n, nil
	}}, chain(l, logginggrpc.ServerConfig{
		Levels: map[string]slog.Level{service + "Unary": slog.LevelDebug},
		Sample: &logging.Sample{Ratio: 0},
	}))
	_, _ = call(t.Context(), cc, 1)
	_, _ = call(t.Context(), cc, 2)
	l.SetLevel(slog.LevelDebug)
	_, _ = call(t.Context(), cc, 3)
	stop()
	if records := out.records(t, "request"); len(records) != 1 || records[0]["code"] != 13.0 {
		t.Errorf("logged %s", out)
	}
	if n := l.Stats().SampledOut; n != 1 {
		t.Errorf("%d sampled out", n)
	}
}

// Two Loggers in one chain write a record each, of the same id.
func TestTwice(t *testing.T) {
	l, out := newLogger(t)
	l2, out2 := newLogger(t)
	cc, stop := serve(t, numbers{}, []grpc.ServerOption{grpc.ChainUnaryInterceptor(
		logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{}),
		logginggrpc.UnaryServerInterceptor(l2, logginggrpc.ServerConfig{}),
	)})
	if _, err := call(t.Context(), cc, 1); err != nil {
		t.Fatal(err)
	}
	stop()
	a, b := out.records(t, "request"), out2.records(t, "request")
	if len(a) != 1 || len(b) != 1 || a[0]["request_id"] != b[0]["request_id"] {
		t.Errorf("logged %s and %s", out, out2)
	}
}

func TestWrongUse(t *testing.T) {
	l, _ := newLogger(t)
	for name, f := range map[string]func(){
		"nil":         func() { logginggrpc.UnaryServerInterceptor(nil, logginggrpc.ServerConfig{}) },
		"nil recover": func() { logginggrpc.RecoverStream(nil) },
		"nil client":  func() { logginggrpc.StreamClientInterceptor(nil, logginggrpc.ClientConfig{}) },
		"key":         func() { logginggrpc.StreamServerInterceptor(l, logginggrpc.ServerConfig{RequestIDMetadata: "id-bin"}) },
		"sample": func() {
			logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{Sample: &logging.Sample{Ratio: 2}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, ok := recover().(string); !ok || !regexp.MustCompile(`^logginggrpc: `).MatchString(v) {
					t.Errorf("it panicked with %v", v)
				}
			}()
			f()
		})
	}
}
