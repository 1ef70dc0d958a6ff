package rpcstate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
)

const method = "/a.B/C"

// journal is an Observer.
type journal struct {
	name  string
	order *[]string
	recs  []reqstate.Record
	onEnd func()
}

func (j *journal) BeginCall(s *reqstate.State) {
	if j.order != nil {
		*j.order = append(*j.order, "begin "+j.name)
	}
}

func (j *journal) Finish(rec *reqstate.Record) {
	if j.order != nil {
		*j.order = append(*j.order, "end "+j.name)
	}
	j.recs = append(j.recs, *rec)
	if j.onEnd != nil {
		j.onEnd()
	}
}

// only returns the record of the one call that was observed.
func (j *journal) only(t *testing.T) reqstate.Record {
	t.Helper()
	if len(j.recs) != 1 {
		t.Fatalf("Finish was called %d times", len(j.recs))
	}
	return j.recs[0]
}

// A way is how a call goes through: as a unary one or as a stream.
type way func(ctx context.Context, o rpcstate.Observer, handler func(ctx context.Context) error) error

func unary(ctx context.Context, o rpcstate.Observer, handler func(ctx context.Context) error) error {
	_, err := rpcstate.Unary(ctx, nil, method, func(ctx context.Context, _ any) (any, error) { return nil, handler(ctx) }, o)
	return err
}

func stream(ctx context.Context, o rpcstate.Observer, handler func(ctx context.Context) error) error {
	return rpcstate.Stream(nil, &messages{ctx: ctx}, method, func(_ any, s grpc.ServerStream) error { return handler(s.Context()) }, o)
}

var ways = map[string]way{"unary": unary, "stream": stream}

// messages is a stream whose client sends n.
type messages struct {
	grpc.ServerStream
	ctx  context.Context
	n    int
	fail error
}

func (m *messages) Context() context.Context { return m.ctx }
func (m *messages) SendMsg(any) error        { return m.fail }
func (m *messages) RecvMsg(any) error {
	if m.n--; m.n < 0 {
		return io.EOF
	}
	return nil
}

// left runs f in a goroutine and returns how it ended.
func left(f func() error) string {
	how := make(chan string)
	go func() {
		end := "Goexit"
		defer func() {
			if v := recover(); v != nil {
				end = fmt.Sprint("panic ", v)
			}
			how <- end
		}()
		end = fmt.Sprint("return ", f())
	}()
	return <-how
}

func TestOutcome(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	caused, cause := context.WithCancelCause(t.Context())
	cause(errors.New("the service's"))
	expired, expire := context.WithCancelCause(t.Context())
	expire(credentialExpired{})
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	soon, stop2 := context.WithTimeout(t.Context(), time.Millisecond)
	stop2()
	patient, stop3 := context.WithTimeout(t.Context(), time.Hour)
	stop3()
	unavailable := status.Error(codes.Unavailable, "x")
	for name, tt := range map[string]struct {
		ctx     context.Context
		leave   func() error
		how     string
		outcome reqstate.Outcome
		code    codes.Code
		status  int
	}{
		"OK":                      {t.Context(), func() error { return nil }, "return <nil>", reqstate.Complete, codes.OK, 200},
		"an error":                {t.Context(), func() error { return unavailable }, "return " + unavailable.Error(), reqstate.Complete, codes.Unavailable, 503},
		"no status":               {t.Context(), func() error { return io.EOF }, "return EOF", reqstate.Complete, codes.Unknown, 500},
		"its own deadline":        {t.Context(), func() error { return context.DeadlineExceeded }, "return context deadline exceeded", reqstate.TimedOut, codes.DeadlineExceeded, 504},
		"panic":                   {t.Context(), func() error { panic("x") }, "panic x", reqstate.Panicked, codes.Internal, 500},
		"Goexit":                  {t.Context(), func() error { runtime.Goexit(); return nil }, "Goexit", reqstate.Aborted, codes.Internal, 500},
		"client gone":             {canceled, func() error { return nil }, "return <nil>", reqstate.ClientGone, codes.Canceled, 499},
		"client gone, an error":   {canceled, func() error { return unavailable }, "return " + unavailable.Error(), reqstate.ClientGone, codes.Canceled, 499},
		"client gone, Goexit":     {canceled, func() error { runtime.Goexit(); return nil }, "Goexit", reqstate.ClientGone, codes.Canceled, 499},
		"client gone, panic":      {canceled, func() error { panic("x") }, "panic x", reqstate.Panicked, codes.Internal, 500},
		"canceled by the service": {caused, func() error { return unavailable }, "return " + unavailable.Error(), reqstate.Complete, codes.Unavailable, 503},
		"credential expired":      {expired, func() error { return context.Canceled }, "return context canceled", reqstate.Expired, codes.Unauthenticated, 401},
		"deadline, OK":            {late, func() error { return nil }, "return <nil>", reqstate.TimedOut, codes.DeadlineExceeded, 504},
		"deadline, an error":      {late, func() error { return unavailable }, "return " + unavailable.Error(), reqstate.Complete, codes.Unavailable, 503},
		"reset at the deadline":   {soon, func() error { return context.Canceled }, "return context canceled", reqstate.TimedOut, codes.DeadlineExceeded, 504},
		"reset before it":         {patient, func() error { return context.Canceled }, "return context canceled", reqstate.ClientGone, codes.Canceled, 499},
	} {
		for kind, through := range ways {
			var j journal
			if how := left(func() error { return through(tt.ctx, &j, func(context.Context) error { return tt.leave() }) }); how != tt.how {
				t.Errorf("%s, %s: %s, want %s", kind, name, how, tt.how)
			}
			rec := j.only(t)
			if rec.Outcome != tt.outcome || rec.Code != uint32(tt.code) || rec.Status != tt.status {
				t.Errorf("%s, %s: %v, %v, %d", kind, name, rec.Outcome, codes.Code(rec.Code), rec.Status)
			}
			if (rec.Panic != nil) != (tt.outcome == reqstate.Panicked) || rec.RPC != method || rec.Route != method {
				t.Errorf("%s, %s: panic %v, of %q", kind, name, rec.Panic, rec.RPC)
			}
		}
	}
}

type credentialExpired struct{}

func (credentialExpired) Error() string      { return "x" }
func (credentialExpired) CredentialExpired() {}

// Observers share a State, which is the handler's context, and end in reverse; one
// that is mounted twice observes once.
func TestChain(t *testing.T) {
	for kind, through := range ways {
		var order []string
		outer, inner := &journal{name: "outer", order: &order}, &journal{name: "inner", order: &order}
		err := through(t.Context(), outer, func(ctx context.Context) error {
			if _, is := ctx.(*reqstate.State); !is {
				t.Errorf("%s: the context is a %T", kind, ctx)
			}
			return through(ctx, inner, func(ctx context.Context) error {
				return through(context.WithValue(ctx, t, t), outer, func(ctx context.Context) error {
					if ctx.Value(t) == nil {
						t.Errorf("%s: a value between is lost", kind)
					}
					return nil
				})
			})
		})
		if want := []string{"begin outer", "begin inner", "end inner", "end outer"}; err != nil || !slices.Equal(order, want) {
			t.Errorf("%s: %v, %q", kind, err, order)
		}
	}
}

// What a panicking observer would have hidden from those further out, is told them,
// and the panic goes on. So is what an interceptor between swallows.
func TestPanics(t *testing.T) {
	for kind, through := range ways {
		outer, inner := new(journal), &journal{onEnd: func() { panic("observer") }}
		if how := left(func() error {
			return through(t.Context(), outer, func(ctx context.Context) error {
				return through(ctx, inner, func(context.Context) error { return nil })
			})
		}); how != "panic observer" {
			t.Errorf("%s: %s", kind, how)
		}
		if rec := outer.only(t); rec.Outcome != reqstate.Complete {
			t.Errorf("%s: %v", kind, rec.Outcome)
		}

		outer, inner = new(journal), new(journal)
		if err := through(t.Context(), outer, func(ctx context.Context) (err error) {
			defer func() {
				if recover() != nil {
					err = status.Error(codes.Unavailable, "swallowed")
				}
			}()
			return through(ctx, inner, func(context.Context) error { panic("x") })
		}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", kind, err)
		}
		for _, j := range []*journal{outer, inner} {
			if rec := j.only(t); rec.Outcome != reqstate.Panicked || rec.Panic != "x" || rec.Code != uint32(codes.Internal) {
				t.Errorf("%s: %v, %v, %v", kind, rec.Outcome, rec.Panic, rec.Code)
			}
		}
	}
}

// When the call is over, nothing changes its record, and whoever still has its
// context begins another one.
func TestSealed(t *testing.T) {
	for kind, through := range ways {
		var j, late journal
		var kept context.Context
		if err := through(t.Context(), &j, func(ctx context.Context) error { kept = ctx; return nil }); err != nil {
			t.Error(err)
		}
		s := kept.(*reqstate.State)
		s.SetReason("late")
		s.SetSubject("late")
		s.Sent()
		s.Received()
		s.Panicked("late")
		if s.SetPrincipal(1, "late") || s.IsCall() || !s.Start().IsZero() {
			t.Errorf("%s: the State lives on", kind)
		}
		if rec := s.Record(); rec.Reason+rec.Subject != "" || rec.MessagesIn+rec.Stream.Chunks != 0 || rec.Panic != nil {
			t.Errorf("%s: %+v", kind, rec)
		}
		if err := through(kept, &late, func(ctx context.Context) error {
			if ctx == kept {
				t.Errorf("%s: a call that is over is joined", kind)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		j.only(t)
		late.only(t)
	}
}

// A State escapes to goroutines that outlive the call.
func TestRace(t *testing.T) {
	for _, through := range ways {
		var j journal
		var wg sync.WaitGroup
		for range 50 {
			_ = through(t.Context(), &j, func(ctx context.Context) error {
				s := ctx.(*reqstate.State)
				for range 4 {
					wg.Go(func() {
						for range 20 {
							s.SetReason("x")
							s.SetSubject("x")
							s.Sent()
							s.Received()
							s.SetRefused()
							_, _ = s.Value(reqstate.PrincipalKey{}), s.IsCall()
							s.SetPrincipal(1, "x")
							_, _, _ = s.IDs()
							runtime.Gosched()
						}
					})
				}
				return nil
			})
		}
		wg.Wait()
		if len(j.recs) != 50 {
			t.Errorf("%d records", len(j.recs))
		}
	}
}

// A handler that serves another call in its own process has nothing to do with it.
func TestInProcess(t *testing.T) {
	outer, inner := new(journal), new(journal)
	_ = unary(t.Context(), outer, func(ctx context.Context) error {
		_, err := rpcstate.Unary(ctx, nil, "/a.B/Other", func(ctx context.Context, _ any) (any, error) {
			if s := reqstate.FromContext(ctx); s.FullMethod() != "/a.B/Other" {
				t.Errorf("the inner call's State is of %q", s.FullMethod())
			}
			return nil, status.Error(codes.NotFound, "x")
		}, inner)
		if status.Code(err) != codes.NotFound {
			t.Error(err)
		}
		return nil
	})
	if rec := outer.only(t); rec.Code != 0 {
		t.Errorf("the outer call's code is %v", rec.Code)
	}
	if rec := inner.only(t); rec.Code != uint32(codes.NotFound) {
		t.Errorf("the inner call's code is %v", rec.Code)
	}
}

// Messages count once however many observe, and the end of the stream is none.
func TestMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := new(journal), new(journal)
		handler := func(_ any, s grpc.ServerStream) error {
			for i := 0; ; i++ {
				if err := s.RecvMsg(nil); err == io.EOF {
					return nil
				}
				<-time.After(time.Duration(i+1) * time.Second)
				if err := s.SendMsg(nil); err != nil {
					return err
				}
			}
		}
		if err := rpcstate.Stream(nil, &messages{ctx: t.Context(), n: 3}, method, func(srv any, s grpc.ServerStream) error {
			return rpcstate.Stream(srv, s, method, handler, inner)
		}, outer); err != nil {
			t.Error(err)
		}
		for _, j := range []*journal{outer, inner} {
			rec := j.only(t)
			if want := (reqstate.Stream{Chunks: 3, TimeToFirstByte: time.Second, LongestGap: 3 * time.Second}); rec.Stream != want || rec.MessagesIn != 3 || rec.Duration != 6*time.Second {
				t.Errorf("%+v, %d in, %v", rec.Stream, rec.MessagesIn, rec.Duration)
			}
		}
	})
}

// A stream that fails after its first message has told its client something.
func TestStreamFailsMidway(t *testing.T) {
	for n, want := range []reqstate.Outcome{reqstate.Complete, reqstate.ErrorEvent} {
		var j journal
		_ = rpcstate.Stream(nil, &messages{ctx: t.Context()}, method, func(_ any, s grpc.ServerStream) error {
			for range n {
				_ = s.SendMsg(nil)
			}
			return status.Error(codes.Unavailable, "x")
		}, &j)
		if rec := j.only(t); rec.Outcome != want || rec.Code != uint32(codes.Unavailable) {
			t.Errorf("after %d messages: %v", n, rec.Outcome)
		}
	}
	var j journal
	_ = rpcstate.Stream(nil, &messages{ctx: t.Context(), fail: io.ErrClosedPipe}, method, func(_ any, s grpc.ServerStream) error { return s.SendMsg(nil) }, &j)
	if rec := j.only(t); rec.Stream.Chunks != 0 {
		t.Error("a message that could not be sent counts")
	}
}

// Who calls, as the address's own String has it.
func TestPeer(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80},
		&net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 80},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1},
		&net.TCPAddr{Port: 7}, &net.TCPAddr{IP: net.IP{1}}, (*net.TCPAddr)(nil),
		&net.UnixAddr{Name: "/run/x", Net: "unix"},
	} {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: addr})
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("user-agent", "ua"))
		var j journal
		_ = unary(ctx, &j, func(context.Context) error { return nil })
		if rec := j.only(t); rec.Remote != addr.String() || rec.UserAgent != "ua" {
			t.Errorf("%q, want %q; %q", rec.Remote, addr.String(), rec.UserAgent)
		}
	}
	var j journal
	_ = unary(peer.NewContext(t.Context(), &peer.Peer{}), &j, func(context.Context) error { return nil })
	if rec := j.only(t); rec.Remote != "" || rec.UserAgent != "" {
		t.Errorf("%q, %q", rec.Remote, rec.UserAgent)
	}
}
