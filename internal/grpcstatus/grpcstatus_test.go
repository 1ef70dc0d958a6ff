package grpcstatus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// trailers stands for the server's side of a call.
type trailers struct{ md metadata.MD }

func (*trailers) Method() string               { return "/a.B/C" }
func (*trailers) SetHeader(metadata.MD) error  { return nil }
func (*trailers) SendHeader(metadata.MD) error { return nil }
func (s *trailers) SetTrailer(md metadata.MD) error {
	s.md = metadata.Join(s.md, md)
	return nil
}

// told is what a client is told.
type told struct {
	code     codes.Code
	text     string
	info     *errdetails.ErrorInfo
	retry    *errdetails.RetryInfo
	pushback []string
}

func tell(t *testing.T, reject func(context.Context) error) (got told) {
	t.Helper()
	var stream trailers
	st, ok := status.FromError(reject(grpc.NewContextWithServerTransportStream(t.Context(), &stream)))
	if !ok {
		t.Fatal("not a status")
	}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			got.info = detail
		case *errdetails.RetryInfo:
			got.retry = detail
		default:
			t.Errorf("unexpected detail %T", detail)
		}
	}
	got.code, got.text, got.pushback = st.Code(), st.Message(), stream.md.Get(grpcstatus.Pushback)
	if got.info == nil || got.info.Reason != "FULL" || got.info.Domain != grpcstatus.Domain || got.info.Metadata["rule"] != "day" {
		t.Errorf("ErrorInfo %v", got.info)
	}
	if got.code != codes.Unavailable || got.text != "Full." {
		t.Errorf("%v %q", got.code, got.text)
	}
	return got
}

func info() *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: "FULL", Metadata: map[string]string{"rule": "day"}}
}

func TestLater(t *testing.T) {
	const week = 7 * 24 * 3600
	for _, tt := range []struct {
		delay time.Duration
		least int64 // in seconds
	}{
		{math.MinInt64, 1}, {-1, 1}, {0, 1}, {1, 1}, {time.Second, 1}, {time.Second + 1, 2},
		{time.Minute, 60}, {week * time.Second, week}, {math.MaxInt64, week},
	} {
		seen := make(map[int64]bool)
		for range 50 {
			got := tell(t, func(ctx context.Context) error {
				return grpcstatus.Later(ctx, codes.Unavailable, "Full.", info(), tt.delay)
			})
			d := got.retry.GetRetryDelay()
			if d.GetSeconds() < tt.least || d.GetSeconds() > tt.least+tt.least/4+1 || d.GetNanos() != 0 {
				t.Errorf("RetryInfo after %v says %v", tt.delay, d)
			}
			if want := []string{strconv.FormatInt(1000*d.GetSeconds(), 10)}; !slices.Equal(got.pushback, want) {
				t.Errorf("the trailer says %q, and RetryInfo %v", got.pushback, d)
			}
			seen[d.GetSeconds()] = true
		}
		if len(seen) < 2 {
			t.Errorf("all 50 clients are to come back after %v", seen)
		}
	}
}

func TestNever(t *testing.T) {
	got := tell(t, func(ctx context.Context) error {
		return grpcstatus.Never(ctx, codes.Unavailable, "Full.", info())
	})
	if got.retry != nil || !slices.Equal(got.pushback, []string{"-1"}) {
		t.Errorf("RetryInfo %v, trailer %q", got.retry, got.pushback)
	}
}

// A handler's own unit test calls it with a context that no server made.
func TestWithoutServer(t *testing.T) {
	if err := grpcstatus.Later(t.Context(), codes.Unavailable, "Full.", info(), 0); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	if err := grpcstatus.Never(t.Context(), codes.Unavailable, "Full.", info()); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return "x" }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

func TestIsFailure(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                                 false,
		okError{}:                           false,
		fmt.Errorf("y: %w", okError{}):      false,
		errors.New("x"):                     true,
		context.Canceled:                    true,
		status.Error(codes.Unavailable, ""): true,
	} {
		if got := grpcstatus.IsFailure(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}

// A call's State is told of the reason, as package problem spells it; an HTTP
// request's, whose status gRPC does not set, is not.
func TestReason(t *testing.T) {
	full := func(ctx context.Context) {
		_ = grpcstatus.Refuse(ctx, codes.Unavailable, "Full.", &errdetails.ErrorInfo{Reason: "QUEUE_FULL"})
	}
	s := reqstate.NewCall(t.Context(), "/a.B/C", "", "")
	full(context.WithValue(s, new(int), 1))
	if got := s.Record().Reason; got != "queue-full" {
		t.Errorf("reason %q", got)
	}
	reqstate.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		full(r.Context())
		if got := reqstate.FromContext(r.Context()).Record().Reason; got != "" {
			t.Errorf("over HTTP, reason %q", got)
		}
	}), observer{})
}

type observer struct{}

func (observer) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (observer) Finish(*reqstate.Record)                                   {}
