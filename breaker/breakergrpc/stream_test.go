package breakergrpc_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// slow is how long a call may take; a stream may go on for longer.
const slow = time.Second

func wait(d time.Duration) { <-time.After(d) }

// The service time of a stream is that until its first message, and begins with
// the last of the client's if it sends several.
func TestStreamServiceTime(t *testing.T) {
	const quick, long = 10 * time.Millisecond, 10 * slow
	say := func(stream interface{ SendMsg(any) error }, after time.Duration) {
		wait(after)
		_ = send(stream, 1)
	}
	for name, tt := range map[string]struct {
		desc   grpc.StreamDesc
		server func(stream grpc.ServerStream) error
		client func(stream grpc.ClientStream)
		isSlow bool
	}{
		"quick, and goes on": {watch, func(stream grpc.ServerStream) error {
			say(stream, quick)
			say(stream, long)
			return nil
		}, nil, false},
		"slow to begin": {watch, func(stream grpc.ServerStream) error { say(stream, long); return nil }, nil, true},
		"slow to begin, in a chat": {chat, func(stream grpc.ServerStream) error {
			_, _ = receive(stream)
			say(stream, long)
			return nil
		}, nil, true},
		"a client that thinks": {chat, func(stream grpc.ServerStream) error {
			for range 2 {
				_, _ = receive(stream)
			}
			say(stream, quick)
			return nil
		}, func(stream grpc.ClientStream) { say(stream, long) }, false},
		"an upload that takes its time": {upload, func(stream grpc.ServerStream) error {
			for err := error(nil); err == nil; {
				_, err = receive(stream)
			}
			say(stream, quick)
			return nil
		}, func(stream grpc.ClientStream) { say(stream, long); wait(long) }, false},
		"a slow answer to an upload": {upload, func(stream grpc.ServerStream) error {
			for err := error(nil); err == nil; {
				_, err = receive(stream)
			}
			say(stream, long)
			return nil
		}, nil, true},
		"no answer, soon": {watch, func(grpc.ServerStream) error { wait(quick); return nil }, nil, false},
		"no answer, late": {watch, func(grpc.ServerStream) error { wait(long); return nil }, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := newBreaker(t, breaker.Config{SlowAfter: slow}), newBreaker(t, breaker.Config{SlowAfter: slow})
				cc := serve(t, numbers{stream: tt.server}, intercept(server, breakergrpc.ServerConfig{}), guard(client, breakergrpc.ClientConfig{})...)
				stream, err := cc.NewStream(t.Context(), &tt.desc, service+tt.desc.StreamName)
				if err != nil {
					t.Fatal(err)
				}
				if err := send(stream, 1); err != nil {
					t.Fatal(err)
				}
				if tt.client != nil {
					tt.client(stream)
				}
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				for err = nil; err == nil; {
					if _, err = receive(stream); err == nil && !tt.desc.ServerStreams {
						break
					}
				}
				if err != nil && err != io.EOF {
					t.Error(err)
				}
				synctest.Wait()
				want := counts{successes: 1}
				if tt.isSlow {
					want.slow = 1
				}
				want.check(t, server)
				want.check(t, client)
			})
		})
	}
}

// A probe that is a stream is good at its first message: recovery does not wait
// for the end. That one still counts if it is a failure.
func TestStreamProbe(t *testing.T) {
	for side, options := range map[string]func(b *breaker.Breaker) ([]grpc.ServerOption, []grpc.DialOption){
		"server": func(b *breaker.Breaker) ([]grpc.ServerOption, []grpc.DialOption) {
			return intercept(b, breakergrpc.ServerConfig{}), nil
		},
		"client": func(b *breaker.Breaker) ([]grpc.ServerOption, []grpc.DialOption) {
			return nil, guard(b, breakergrpc.ClientConfig{})
		},
	} {
		for _, desc := range []grpc.StreamDesc{watch, chat} {
			t.Run(side+" "+desc.StreamName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, OpenFor: time.Second, MaxOpenFor: time.Second})
					go_ := make(chan error)
					server, client := options(b)
					cc := serve(t, numbers{
						unary: func(context.Context, int64) (int64, error) { return 0, errDisk },
						stream: func(stream grpc.ServerStream) error {
							_ = send(stream, 1)
							return <-go_
						},
					}, server, client...)
					callUnary(t.Context(), cc, 1)
					synctest.Wait()
					if b.State() != breaker.Open {
						t.Fatalf("it is %v", b.State())
					}
					wait(time.Second)
					stream, err := cc.NewStream(t.Context(), &desc, service+desc.StreamName)
					if err != nil {
						t.Fatal(err)
					}
					if err := send(stream, 1); err != nil {
						t.Fatal(err)
					}
					if _, err := receive(stream); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if s := b.State(); s != breaker.Recovering && s != breaker.Closed {
						t.Errorf("after the first message it is %v", s)
					}
					before := told(b)
					go_ <- status.Error(codes.Internal, "")
					if _, err := receive(stream); status.Code(err) != codes.Internal {
						t.Error(err)
					}
					synctest.Wait()
					if after := told(b); after.failures != before.failures+1 {
						t.Errorf("%+v, and then %+v", before, after)
					}
				})
			})
		}
	}
}

// A client that thinks before it asks does not move the breaker's clock back: it
// recovers no faster for it.
func TestStreamProbeOfAClientThatThinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, OpenFor: time.Second, MaxOpenFor: time.Second, ProbeTTL: time.Hour})
		intercept := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})
		open := func(ends ...error) grpc.ClientStream {
			stream, err := intercept(t.Context(), &chat, nil, "", madeUp(ends...))
			if err != nil {
				t.Fatal(err)
			}
			return stream
		}
		_ = open(errDisk).RecvMsg(nil)
		wait(time.Second)
		stream := open(nil, nil)
		wait(time.Minute)
		if err := stream.SendMsg(nil); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		if err := stream.RecvMsg(nil); err != nil {
			t.Fatal(err)
		}
		// Twice the load that the probe was: in a minute, or so.
		allowed := 0
		for range 10 {
			if _, err := b.Allow(); err == nil {
				allowed++
			}
			wait(time.Second)
		}
		if b.State() != breaker.Recovering || allowed > 1 {
			t.Errorf("it is %v, and lets %d calls through in 10 s", b.State(), allowed)
		}
	})
}

// A probe whose stream is dropped, and never ends, does not hold up the next for
// longer than its time to live.
func TestStreamProbeThatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1, OpenFor: time.Second, MaxOpenFor: time.Second, ProbeTTL: time.Minute})
		intercept := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})
		open := func(ends ...error) error {
			stream, err := intercept(t.Context(), &watch, nil, "", madeUp(ends...))
			if err == nil && len(ends) > 1 {
				err = stream.RecvMsg(nil)
			}
			return err
		}
		if err := open(errDisk, errDisk); err != errDisk {
			t.Fatal(err)
		}
		wait(time.Second)
		if err := open(nil); err != nil { // the probe, and nobody reads it
			t.Fatal(err)
		}
		if err := open(nil, nil); status.Code(err) != codes.Unavailable {
			t.Errorf("beside the probe: %v", err)
		}
		wait(time.Minute)
		_ = open(nil, nil) // finds it expired
		wait(time.Second)
		if err := open(nil, nil); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}
