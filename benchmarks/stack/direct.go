package stackbench

import (
	"io"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/ballast-go/ballast/tracing"
)

const (
	bare        = "no stack"
	tableDirect = "direct"
)

// everybody is Ballast, then its peers.
func everybody() []peer {
	return append([]peer{{Ours, "logging, tracing, metrics, auth, ratelimit, breaker", own}}, peers()...)
}

func none(world) (stack, func(), error) { return stack{}, nil, nil }

// An opener makes an Op of a stack, and what ends it.
type opener func(st stack, token string) (Op, func(), error)

// directly calls the chain.
func directly(st stack, token string) (Op, func(), error) {
	op := call(st.chain(service()), request(token))
	return op, nil, op(0, 1)
}

// contender opens a stack, which may be changed first.
func contender(name, note string, open opener, build func(world) (stack, func(), error)) Contender {
	return Contender{Name: name, Note: note, Open: func() (Op, func(), error) {
		w := world{signer: newSigner(), logs: io.Discard}
		token, err := w.signer.token(tenYears)
		if err != nil {
			return nil, nil, err
		}
		st, closeStack, err := build(w)
		if err != nil {
			return nil, closeStack, err
		}
		op, closeOp, err := open(st, token)
		return op, both(closeOp, closeStack), err
	}}
}

func both(first, second func()) func() {
	return func() {
		for _, f := range []func(){first, second} {
			if f != nil {
				f()
			}
		}
	}
}

// stackTable has everybody's whole stack.
func stackTable(name, title string, batch int, open opener) Table {
	t := Table{Name: name, Title: title, Workers: 1, Batch: batch}
	t.Contenders = append(t.Contenders, contender(bare, "the mux and its handler: part of every line", open, none))
	for _, p := range everybody() {
		t.Contenders = append(t.Contenders, contender(p.name, p.note, open, p.new))
	}
	return t
}

const (
	tableLogs   = "access log"
	tableSeries = "metrics"
	tableTraces = "traces"
	without     = "without"
)

// A variant is a layer of Ballast's stack, or a peer in its place.
type variant struct {
	name, note string
	layer      func(world) (middleware, func())
}

// marginalTable has Ballast's whole stack, the same without one layer, and with
// peers in that layer's place, so that everybody has the same around them. take
// removes the layer and put sets it.
func marginalTable(name, title string, own func(world) (stack, func(), error), take func(*stack), put func(*stack, middleware), variants []variant) Table {
	t := Table{Name: name, Title: title, Workers: 1, Batch: 16}
	t.Contenders = append(t.Contenders, contender(without, "Ballast's stack without that layer: part of every line", directly, func(w world) (stack, func(), error) {
		st, closeIt, err := own(w)
		take(&st)
		return st, closeIt, err
	}), contender(Ours, "", directly, own))
	for _, v := range variants {
		t.Contenders = append(t.Contenders, contender(v.name, v.note, directly, func(w world) (stack, func(), error) {
			st, closeIt, err := own(w)
			if err != nil {
				return st, closeIt, err
			}
			take(&st)
			m, closeLayer := v.layer(w)
			put(&st, m)
			return st, both(closeLayer, closeIt), nil
		}))
	}
	return t
}

func layer(m middleware) (middleware, func()) { return m, nil }

// logVariants name the request, too, as the layer does.
func logVariants() []variant {
	return []variant{
		{"zerolog by hand", "", func(w world) (middleware, func()) { return layer(join(requestIDs, zerologLogs(w.logs))) }},
		{"zap by hand", "", func(w world) (middleware, func()) { return layer(join(requestIDs, zapLogs(w.logs))) }},
		{"hlog", "", func(w world) (middleware, func()) { return layer(hlogLogs(w.logs)) }},
		{"httplog, concise", "without address and user agent", func(w world) (middleware, func()) { return layer(join(requestIDs, httplogLogs(w.logs, true))) }},
		{"httplog", "", func(w world) (middleware, func()) { return layer(join(requestIDs, httplogLogs(w.logs, false))) }},
		{"slog-http", "tells the client no id", func(w world) (middleware, func()) { return layer(slogLogs(w.logs)) }},
	}
}

func seriesVariants() []variant {
	return []variant{
		{"slok go-http-metrics", "is told the route; no active requests by route", func(w world) (middleware, func()) { return layer(slokMetrics(w)) }},
		{"prom by hand", "is told the route", func(w world) (middleware, func()) { return layer(promByHand(w)) }},
		{"promhttp", "knows no routes", func(w world) (middleware, func()) { return layer(promHTTP(w)) }},
		{"otelhttp's metrics", "with a tracer that does nothing", func(w world) (middleware, func()) { return layer(otelMetrics(w)) }},
	}
}

func ownUnsampled(w world) (stack, func(), error) { return ownTraced(w, 0) }

func traceVariants() []variant {
	return []variant{
		{"ballast, 1 % sampled", "", func(w world) (middleware, func()) {
			tp, closeIt := provider(w, sampled)
			return tracing.Middleware(tp, tracing.MiddlewareConfig{}), closeIt
		}},
		{"otelhttp, noop", "a tracer that does nothing", func(world) (middleware, func()) { return otelTraces(noop.NewTracerProvider()), nil }},
		{"otelhttp", "", func(w world) (middleware, func()) { return otelHTTP(w, 0) }},
		{"otelhttp, 1 % sampled", "", func(w world) (middleware, func()) { return otelHTTP(w, sampled) }},
	}
}

func marginalTables() []Table {
	return []Table{
		marginalTable(tableLogs, "The access log in the stack, with the request's id", own,
			func(s *stack) { s.logs = nil }, func(s *stack, m middleware) { s.logs = m }, logVariants()),
		marginalTable(tableSeries, "Metrics in the stack", own,
			func(s *stack) { s.series = nil }, func(s *stack, m middleware) { s.series = m }, seriesVariants()),
		marginalTable(tableTraces, "Tracing in the stack; the request is not sampled", ownUnsampled,
			func(s *stack) { s.traces = nil }, func(s *stack, m middleware) { s.traces = m }, traceVariants()),
	}
}
