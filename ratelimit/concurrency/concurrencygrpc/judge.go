package concurrencygrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// judge says what the end of a call says of the time it took: gone is its
// context's error, and err its own.
func judge(p *concurrency.Permit, gone, err error) {
	switch {
	case gone == context.DeadlineExceeded:
		p.Overloaded()
	case gone != nil:
		p.Ignore()
	case isRefusal(err): // by another limiter: this one's service has done nothing
		p.Ignore()
	case err != nil:
		judgeCode(p, codeOf(err))
	}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

func judgeCode(p *concurrency.Permit, code codes.Code) {
	switch code {
	case codes.OK:
	case codes.Unavailable, codes.DeadlineExceeded:
		p.Overloaded()
	default:
		p.Ignore()
	}
}

// codeOf is what a server makes of what a handler returns.
func codeOf(err error) codes.Code {
	if st, ok := status.FromError(err); ok {
		return st.Code()
	}
	return status.FromContextError(err).Code()
}
