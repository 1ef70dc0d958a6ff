package batchinggrpc_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
)

// A handler that answers its own error in its own words, and leaves the rest to
// Status.
func ExampleStatus() {
	errNegative := errors.New("no root of a negative number")
	roots, err := batching.New(func(_ context.Context, in []int64, out []batching.Slot[int64]) error {
		for i, n := range in {
			if n < 0 {
				out[i].Fail(errNegative)
				continue
			}
			root := int64(0)
			for (root+1)*(root+1) <= n {
				root++
			}
			out[i].Set(root)
		}
		return nil
	}, batching.Config[int64]{})
	if err != nil {
		panic(err)
	}

	// A method of the server's, as its .proto file has it.
	root := func(ctx context.Context, in *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
		n, err := roots.Do(ctx, in.Value)
		switch {
		case errors.Is(err, errNegative):
			return nil, status.Error(codes.InvalidArgument, "The number is negative.")
		case err != nil:
			return nil, batchinggrpc.Status(ctx, err)
		}
		return wrapperspb.Int64(n), nil
	}

	ctx := context.Background()
	n, err := root(ctx, wrapperspb.Int64(1522756))
	fmt.Println(n.GetValue(), err)
	_, err = root(ctx, wrapperspb.Int64(-1))
	fmt.Println(err)
	if err := roots.Close(ctx); err != nil {
		panic(err)
	}
	_, err = root(ctx, wrapperspb.Int64(1522756))
	fmt.Println(err)

	// Output:
	// 1234 <nil>
	// rpc error: code = InvalidArgument desc = The number is negative.
	// rpc error: code = Unavailable desc = This instance of the service is shutting down.
}
