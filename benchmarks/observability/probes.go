package obsbench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	liesenfeld "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/ballast-go/ballast/health"
)

const tableProbe = "probe"

// A prober is a library that answers probes. check is what it is to know of.
type prober struct {
	name, note string
	new        func(check func(context.Context) error) (http.Handler, func(), error)
}

func probers() []prober {
	return []prober{
		{Ours, "the check runs in the background", ownHealth},
		{"alexliesenfeld", "the check runs in the background", func(check func(context.Context) error) (http.Handler, func(), error) {
			known := make(chan struct{}, 1) // it is told of the first result
			c := liesenfeld.NewChecker(
				liesenfeld.WithStatusListener(func(context.Context, liesenfeld.CheckerState) { known <- struct{}{} }),
				liesenfeld.WithPeriodicCheck(time.Minute, 0, liesenfeld.Check{Name: "device", Check: check}))
			<-known
			return liesenfeld.NewHandler(c), c.Stop, nil
		}},
		{"hellofresh", "each probe runs the check", func(check func(context.Context) error) (http.Handler, func(), error) {
			h, err := hellofresh.New(hellofresh.WithChecks(hellofresh.Config{Name: "device", Check: check}))
			if err != nil {
				return nil, nil, err
			}
			return h.Handler(), nil, nil
		}},
	}
}

func ownHealth(check func(context.Context) error) (http.Handler, func(), error) {
	h, err := health.New(health.Config{Readiness: []health.Check{{Name: "device", Func: check}}})
	if err != nil {
		return nil, nil, err
	}
	closeIt := func() { _ = h.Close(context.Background()) }
	if check(context.Background()) != nil {
		return h.ReadyHandler(), closeIt, nil // it is not ready, and stays so
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return h.ReadyHandler(), closeIt, h.WaitReady(ctx)
}

// discard is a response of which only the header and the status are kept.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

func probeTable() Table {
	t := Table{Name: tableProbe, Title: "A probe of a process that is ready, with one check", Workers: 1, Batch: 16}
	for _, p := range probers() {
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			h, closeIt, err := p.new(func(context.Context) error { return nil })
			if err != nil {
				return nil, closeIt, err
			}
			r, err := http.NewRequest(http.MethodGet, "/readyz", nil)
			if err != nil {
				return nil, closeIt, err
			}
			w := &discard{header: http.Header{}}
			return func(_, n int) error {
				for range n {
					clear(w.header)
					w.status = http.StatusOK
					h.ServeHTTP(w, r)
					if w.status != http.StatusOK {
						return fmt.Errorf("status %d, want 200", w.status)
					}
				}
				return nil
			}, closeIt, nil
		}})
	}
	return t
}
