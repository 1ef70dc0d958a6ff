package batchinggrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
)

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// otherError is some other package's, under the contract between packages.
type otherError struct {
	retryable bool
	delay     time.Duration
	cause     error
}

func (e otherError) Error() string             { return secret + ": 10.0.0.7 is down" }
func (e otherError) Retryable() bool           { return e.retryable }
func (e otherError) RetryDelay() time.Duration { return e.delay }
func (e otherError) Unwrap() error             { return e.cause }

// deny is an error that a service might get back from a gRPC backend.
var deny = status.Error(codes.Unauthenticated, secret)

var cases = []struct {
	name string
	gone bool // the client
	err  error
	want outcome
}{
	{"queue full", false, batching.ErrQueueFull, outcome{codes.Unavailable, "QUEUE_FULL", 1}},
	{"queue full for one that left", true, batching.ErrQueueFull, outcome{codes.Unavailable, "QUEUE_FULL", 1}},
	{"shed", false, &batching.ShedError{Estimate: time.Minute, RetryAfter: 2500 * time.Millisecond}, outcome{codes.Unavailable, "SHED", 3}},
	{"shed, room soon", false, &batching.ShedError{RetryAfter: time.Millisecond}, outcome{codes.Unavailable, "SHED", 1}},
	{"shed, the sentinel", false, batching.ErrShed, outcome{codes.Unavailable, "SHED", 1}},
	{"closed", false, batching.ErrClosed, outcome{codes.Unavailable, "DRAINING", 1}},
	{"another package's, later", false, otherError{true, 19500 * time.Millisecond, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 20}},
	{"another package's, no advice", false, otherError{true, 0, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 1}},
	{"another package's, nonsense", false, otherError{true, math.MinInt64, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 1}},
	{"another package's, in centuries", false, otherError{true, math.MaxInt64, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 7 * 24 * 3600}},
	{"another package's, never", false, otherError{false, time.Hour, nil}, outcome{codes.Internal, "", 0}},
	{"another package's deadline", false, otherError{true, 0, context.DeadlineExceeded}, outcome{codes.Unavailable, "UNAVAILABLE", 1}},
	{"another package's deadline, never", false, otherError{false, 0, context.DeadlineExceeded}, outcome{codes.DeadlineExceeded, "", 0}},
	{"batch timeout", false, batching.ErrBatchTimeout, outcome{codes.DeadlineExceeded, "", 0}},
	{"deadline", false, context.DeadlineExceeded, outcome{codes.DeadlineExceeded, "", 0}},
	{"deadline of one that left", true, context.DeadlineExceeded, outcome{codes.DeadlineExceeded, "", 0}},
	{"client left", true, context.Canceled, outcome{codes.Canceled, "", 0}},
	{"somebody else canceled", false, context.Canceled, outcome{codes.Internal, "", 0}},
	{"too large", false, batching.ErrTooLarge, outcome{codes.InvalidArgument, "", 0}},
	{"no result", false, batching.ErrNoResult, outcome{codes.Internal, "", 0}},
	{"reentrant", false, batching.ErrReentrant, outcome{codes.Internal, "", 0}},
	{"panic", false, &batching.PanicError{Value: secret, Stack: []byte(secret)}, outcome{codes.Internal, "", 0}},
	{"panic with an error", true, &batching.PanicError{Value: context.Canceled}, outcome{codes.Internal, "", 0}},
	{"a backend's status", false, deny, outcome{codes.Internal, "", 0}},
	{"its own", false, batchinggrpc.Status(context.Background(), batching.ErrTooLarge), outcome{codes.Internal, "", 0}},
	{"the item's", false, errors.New(secret), outcome{codes.Internal, "", 0}},
}

// trailers stands for the server's side of a call. The tests over a real
// server are in server_test.go.
type trailers struct{ md metadata.MD }

func (*trailers) Method() string               { return unaryMethod }
func (*trailers) SetHeader(metadata.MD) error  { return nil }
func (*trailers) SendHeader(metadata.MD) error { return nil }
func (s *trailers) SetTrailer(md metadata.MD) error {
	s.md = metadata.Join(s.md, md)
	return nil
}

func TestStatus(t *testing.T) {
	for _, tt := range cases {
		for wrapping, err := range map[string]error{
			"":         tt.err,
			" wrapped": fmt.Errorf("%s: %w", secret, tt.err),
			" joined":  errors.Join(errors.New(secret), tt.err),
		} {
			t.Run(tt.name+wrapping, func(t *testing.T) {
				stream := &trailers{md: metadata.MD{}}
				ctx, cancel := context.WithCancel(grpc.NewContextWithServerTransportStream(t.Context(), stream))
				defer cancel()
				if tt.gone {
					cancel()
				}
				tt.want.check(t, batchinggrpc.Status(ctx, err), stream.md)
			})
		}
	}
}

// Over HTTP and gRPC clients are told the same, word for word but for who left.
func TestAgreesWithWriteError(t *testing.T) {
	codeOf := map[int]codes.Code{
		http.StatusServiceUnavailable:    codes.Unavailable,
		http.StatusRequestEntityTooLarge: codes.InvalidArgument,
		http.StatusGatewayTimeout:        codes.DeadlineExceeded,
		499:                              codes.Canceled,
		http.StatusInternalServerError:   codes.Internal,
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.gone {
				cancel()
			}
			w := httptest.NewRecorder()
			batching.WriteError(w, httptest.NewRequestWithContext(ctx, "POST", "/", nil), tt.err)
			var problem struct {
				Status         int
				Detail, Reason string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			st := status.Convert(batchinggrpc.Status(ctx, tt.err))
			reason := strings.ToUpper(strings.ReplaceAll(problem.Reason, "-", "_"))
			if st.Code() != codeOf[problem.Status] || reason != tt.want.reason {
				t.Errorf("%v %s over gRPC, %+v over HTTP", st.Code(), tt.want.reason, problem)
			}
			if st.Message() != problem.Detail && !tt.gone {
				t.Errorf("%q over gRPC, %q over HTTP", st.Message(), problem.Detail)
			}
		})
	}
}

func TestStatusOfNil(t *testing.T) {
	if err := batchinggrpc.Status(t.Context(), nil); err != nil {
		t.Errorf("Status(nil) = %v", err)
	}
}

// A handler's own unit test calls it with a context that no server made.
func TestStatusWithoutServer(t *testing.T) {
	outcome{codes.Unavailable, "QUEUE_FULL", 1}.check(t, batchinggrpc.Status(t.Context(), batching.ErrQueueFull), nil)
}

func TestDelayIsJittered(t *testing.T) {
	seen := make(map[string]bool)
	for range 200 {
		stream := &trailers{}
		ctx := grpc.NewContextWithServerTransportStream(t.Context(), stream)
		outcome{codes.Unavailable, "DRAINING", 1}.check(t, batchinggrpc.Status(ctx, batching.ErrClosed), stream.md)
		seen[stream.md.Get("grpc-retry-pushback-ms")[0]] = true
	}
	if len(seen) < 2 {
		t.Errorf("all 200 clients are to come back after %v ms", seen)
	}
}
