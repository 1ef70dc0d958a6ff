package batchinggrpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/batching/batchinggrpc"
)

// FuzzStatus wraps the known causes in whatever text, delay and order: nothing
// of it changes what the client is told beyond the delay, or is told to it.
func FuzzStatus(f *testing.F) {
	for i := range cases {
		f.Add(uint(i), "text", int64(0), uint8(i))
		f.Add(uint(i), "%w %!", int64(time.Hour), uint8(255-i))
	}
	f.Fuzz(func(t *testing.T, i uint, text string, delay int64, shape uint8) {
		tt := cases[i%uint(len(cases))]
		err := tt.err
		for ; shape > 0; shape >>= 2 {
			switch shape & 3 {
			case 1:
				err = fmt.Errorf("%s%s: %w", secret, text, err)
			case 2:
				err = errors.Join(errors.New(secret+text), err)
			case 3:
				err = fmt.Errorf("%w, after %w", err, errors.New(secret+text))
			}
		}
		stream := &trailers{md: metadata.MD{}}
		ctx, cancel := context.WithCancel(grpc.NewContextWithServerTransportStream(t.Context(), stream))
		defer cancel()
		if tt.gone {
			cancel()
		}
		tt.want.check(t, batchinggrpc.Status(ctx, err), stream.md)

		other := batchinggrpc.Status(ctx, otherError{true, time.Duration(delay), err})
		if got, plain := status.Convert(other).Message(), status.Convert(batchinggrpc.Status(ctx, otherError{retryable: true, cause: tt.err})).Message(); got != plain {
			t.Errorf("the client is told %q, or %q without the wrapping", got, plain)
		}
	})
}
