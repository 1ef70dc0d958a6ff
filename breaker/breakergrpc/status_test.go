package breakergrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

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

var cases = []struct {
	name string
	gone bool // the client
	err  error
	want outcome
}{
	{"open", false, &breaker.OpenError{Name: secret, RetryAfter: 2500 * time.Millisecond}, outcome{codes.Unavailable, "BREAKER_OPEN", 3}},
	{"open, and no more known", false, breaker.ErrOpen, outcome{codes.Unavailable, "BREAKER_OPEN", 1}},
	{"open, and the client left", true, &breaker.OpenError{Name: secret, RetryAfter: 1}, outcome{codes.Unavailable, "BREAKER_OPEN", 1}},
	{"another package's, later", false, otherError{true, 19500 * time.Millisecond, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 20}},
	{"another package's, nonsense", false, otherError{true, math.MinInt64, nil}, outcome{codes.Unavailable, "UNAVAILABLE", 1}},
	{"another package's deadline", false, otherError{true, 0, context.DeadlineExceeded}, outcome{codes.Unavailable, "UNAVAILABLE", 1}},
	{"another package's, never", false, otherError{false, time.Hour, nil}, outcome{codes.Internal, "", 0}},
	{"deadline", false, context.DeadlineExceeded, outcome{codes.DeadlineExceeded, "", 0}},
	{"client left", true, context.Canceled, outcome{codes.Canceled, "", 0}},
	{"somebody else canceled", false, context.Canceled, outcome{codes.Internal, "", 0}},
	{"a status", false, status.Error(codes.Unauthenticated, secret), outcome{codes.Internal, "", 0}},
	{"any", false, errors.New(secret), outcome{codes.Internal, "", 0}},
}

// trailers stands for the server's side of a call.
type trailers struct{ md metadata.MD }

func (*trailers) Method() string               { return service + "Unary" }
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
				tt.want.check(t, breakergrpc.Status(ctx, err), stream.md)
			})
		}
	}
	if err := breakergrpc.Status(t.Context(), nil); err != nil {
		t.Errorf("Status(nil) = %v", err)
	}
}

// Over HTTP and gRPC clients are told the same, word for word but for who left.
func TestAgreesWithWriteError(t *testing.T) {
	codeOf := map[int]codes.Code{
		http.StatusServiceUnavailable:  codes.Unavailable,
		http.StatusGatewayTimeout:      codes.DeadlineExceeded,
		499:                            codes.Canceled,
		http.StatusInternalServerError: codes.Internal,
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.gone {
				cancel()
			}
			w := httptest.NewRecorder()
			breaker.WriteError(w, httptest.NewRequestWithContext(ctx, "POST", "/", nil), tt.err)
			var problem struct {
				Status         int
				Detail, Reason string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			st := status.Convert(breakergrpc.Status(ctx, tt.err))
			reason := strings.ToUpper(strings.ReplaceAll(problem.Reason, "-", "_"))
			if st.Code() != codeOf[problem.Status] || reason != tt.want.reason {
				t.Errorf("%v %s over gRPC, %+v over HTTP", st.Code(), tt.want.reason, problem)
			}
			if st.Message() != problem.Detail && st.Code() != codes.Canceled {
				t.Errorf("%q over gRPC, %q over HTTP", st.Message(), problem.Detail)
			}
		})
	}
}
