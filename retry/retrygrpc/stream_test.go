package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// open opens a stream and sends it the numbers.
func open(t *testing.T, ctx context.Context, cc *grpc.ClientConn, desc grpc.StreamDesc, ns ...int64) grpc.ClientStream {
	t.Helper()
	stream, err := cc.NewStream(ctx, &desc, service+desc.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		if err := send(stream, n); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// From the first message on a stream is its caller's, whatever becomes of it.
func TestStreamIsCommittedByItsFirstMessage(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		for _, desc := range []grpc.StreamDesc{watch, chat} {
			attempts := 0
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				if attempts++; attempts == 1 {
					return down("")
				}
				_ = send(stream, 7)
				return down("cut")
			}}, nil, again(newRetrier(t, retry.Config{MaxAttempts: 5}), retrygrpc.ClientConfig{})...)
			stream := open(t, t.Context(), cc, desc, 1)
			if n, err := receive(stream); n != 7 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			for range 2 {
				if _, err := receive(stream); status.Convert(err).Message() != "cut" || attempts != 2 {
					t.Errorf("%v after %d attempts", err, attempts)
				}
			}
			if err := send(stream, 1); err != io.EOF && desc.ClientStreams {
				t.Errorf("send: %v", err)
			}
		}
	})
}

// A stream that ends well without a message has ended well.
func TestStreamWithoutMessages(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		attempts := 0
		r := newRetrier(t, retry.Config{})
		cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			if attempts++; attempts == 1 {
				return down("")
			}
			return stream.SendHeader(metadata.Pairs("attempt", "2"))
		}}, nil, again(r, retrygrpc.ClientConfig{})...)
		stream := open(t, t.Context(), cc, watch, 1)
		for range 3 {
			if _, err := receive(stream); err != io.EOF {
				t.Error(err)
			}
		}
		if md, err := stream.Header(); err != nil || len(md.Get("attempt")) != 1 {
			t.Errorf("header %v, %v", md, err)
		}
		if s := r.Stats(); s.Recovered != 1 || s.Retries != 1 || attempts != 2 {
			t.Errorf("%+v, %d attempts", s, attempts)
		}
	})
}

func (textCodec) Marshal(any) ([]byte, error) { return nil, nil }
func (textCodec) Unmarshal([]byte, any) error { return nil }
func (textCodec) Name() string                { return "proto" }

// The header is looked at by some before they receive: it commits the stream.
func TestStreamHeader(t *testing.T) {
	for name, tt := range map[string]struct {
		errs  []error // of the attempts, before the header
		after error
		code  codes.Code // of Header's
	}{
		"at once":     {nil, nil, codes.OK},
		"the second":  {[]error{down("")}, nil, codes.OK},
		"none":        {[]error{down(""), down(""), down("")}, nil, codes.Unavailable},
		"none for it": {[]error{status.Error(codes.NotFound, "")}, nil, codes.NotFound},
		"then broken": {[]error{down("")}, down("after"), codes.OK},
	} {
		bubble(t, name, func(t *testing.T) {
			attempts := 0
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				if attempts++; attempts <= len(tt.errs) {
					return tt.errs[attempts-1]
				}
				if err := stream.SendHeader(metadata.Pairs("attempt", fmt.Sprint(attempts))); err != nil || tt.after != nil {
					return errors.Join(tt.after, err)
				}
				return send(stream, 7)
			}}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			stream := open(t, t.Context(), cc, watch, 1)
			for range 2 {
				md, err := stream.Header()
				if status.Code(err) != tt.code {
					t.Errorf("%v, %v", md, err)
				}
				if want := fmt.Sprint(len(tt.errs) + 1); err == nil && !slices.Equal(md.Get("attempt"), []string{want}) {
					t.Errorf("%v, want attempt %s", md, want)
				}
			}
			before := attempts
			switch n, err := receive(stream); {
			case tt.code != codes.OK && status.Code(err) != tt.code, tt.after != nil && status.Code(err) != codes.Unavailable,
				tt.code == codes.OK && tt.after == nil && (n != 7 || err != nil), attempts != before:
				t.Errorf("%d, %v after %d attempts", n, err, attempts)
			}
		})
	}
}

// A stream that ended well without a header, or whose Context was taken.
func TestStreamHeaderOfNothing(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cc := serve(t, numbers{stream: func(grpc.ServerStream) error { return nil }}, nil,
			again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
		stream := open(t, t.Context(), cc, watch, 1)
		if md, err := stream.Header(); err != nil {
			t.Errorf("%v, %v", md, err)
		}
		if _, err := receive(stream); err != io.EOF {
			t.Error(err)
		}
	})
	bubble(t, "context", func(t *testing.T) {
		f := newFlaky(down(""))
		cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
		stream := open(t, t.Context(), cc, watch, 1)
		if _, ok := peer.FromContext(stream.Context()); !ok {
			t.Error("the context is not the stream's")
		}
		if _, err := receive(stream); status.Code(err) != codes.Unavailable || len(f.seen()) > 1 {
			t.Errorf("retried although its context was taken: %v", err)
		}
	})
}

// refuse opens no stream for the first n times.
func refuse(n int, opens *int) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if *opens++; *opens <= n {
			return nil, down("no connection")
		}
		return streamer(ctx, desc, cc, method, opts...)
	}
}

// A stream that cannot be opened is tried again: while it is opened, if there are
// several messages to come, else when the answer is received.
func TestStreamOpening(t *testing.T) {
	for _, desc := range []grpc.StreamDesc{upload, watch, chat} {
		for refused := range 5 {
			bubble(t, fmt.Sprint(desc.StreamName, refused), func(t *testing.T) {
				f, opens, r := newFlaky(), 0, newRetrier(t, retry.Config{})
				cc := serve(t, f.numbers(), nil, grpc.WithChainStreamInterceptor(
					retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{}), refuse(refused, &opens)))
				got := callStream(desc)(t.Context(), cc, 7)
				if refused < 3 && (got.n != 7 || got.err != nil || opens != refused+1) {
					t.Errorf("%d, %v after %d", got.n, got.err, opens)
				}
				if refused >= 3 && (!errors.Is(got.err, retry.ErrExhausted) || status.Code(got.err) != codes.Unavailable || opens != 3) {
					t.Errorf("%v after %d", got.err, opens)
				}
				if s := r.Stats(); int(s.Retries) != min(refused, 2) {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// One that has had its retries to be opened gets no more of them: MaxAttempts
// counts them all.
func TestStreamAttemptsAreCountedOnce(t *testing.T) {
	for _, desc := range []grpc.StreamDesc{upload, watch, chat} {
		bubble(t, desc.StreamName, func(t *testing.T) {
			f, opens, r := newFlaky(slices.Repeat([]error{down("")}, 9)...), 0, newRetrier(t, retry.Config{})
			cc := serve(t, f.numbers(), nil, grpc.WithChainStreamInterceptor(
				retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{}), refuse(1, &opens)))
			got := callStream(desc)(t.Context(), cc, 7)
			want := 3
			if desc.ClientStreams {
				want = 2
			}
			if status.Code(got.err) != codes.Unavailable || opens != want {
				t.Errorf("%v after %d", got.err, opens)
			}
			if s := r.Stats(); int(s.Retries) != want-1 || int(s.Recovered+s.Exhausted) != 1 || s.Permanent != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A stream that cannot be opened for a reason that stays is not, and leaves its
// context to nobody.
func TestStreamNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := status.Error(codes.PermissionDenied, "")
		for _, desc := range []grpc.StreamDesc{upload, watch} {
			var ctx context.Context
			var finished []error
			_, err := retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})(t.Context(), &desc, nil, "",
				func(c context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
					ctx = c
					return nil, denied
				}, grpc.OnFinish(func(err error) { finished = append(finished, err) }))
			if err != denied || ctx.Err() == nil || len(finished) != 1 || finished[0] != denied {
				t.Errorf("%v, context %v, finished %v", err, ctx.Err(), finished)
			}
		}
	})
}
