package limitbench

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// endings are the ways out of a handler that skip what comes after the call.
var endings = []func(){
	func() { panic("a bug") },
	func() { panic(http.ErrAbortHandler) },
	runtime.Goexit,
}

// permitFacts has handlers end in each of these ways, and counts the permits
// that are still out when they are gone.
func permitFacts() ([]fact, error) {
	about := fmt.Sprintf("%d handlers that end by a panic, http.ErrAbortHandler and runtime.Goexit, behind a concurrency limit", len(endings))
	say := func(who string, lost int) fact {
		return fact{about, who, fmt.Sprintf("%d permits lost", lost), lost == 0}
	}
	l, err := concurrency.New(concurrency.Config{Max: len(endings)})
	if err != nil {
		return nil, err
	}
	limit := concurrency.Middleware(l, concurrency.MiddlewareConfig{})
	theirs := bulkhead.New[any](uint(len(endings)))
	executor := failsafe.With[any](theirs)
	for _, end := range endings {
		alone(func() {
			h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { end() }))
			h.ServeHTTP(&discard{header: http.Header{}}, request())
		})
		alone(func() { _ = executor.Run(func() error { end(); return nil }) })
	}
	free := 0
	for theirs.TryAcquirePermit() {
		free++
	}
	return []fact{say(Ours, l.Stats().InFlight), say("failsafe, bulkhead", len(endings)-free)}, nil
}

// alone runs f in a goroutine of its own, as a server runs a handler, and
// survives its panic.
func alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}
