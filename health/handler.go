package health

import (
	"net/http"
	"strconv"
)

// Handler returns the handler for /health, for people, load balancers and
// monitors: 200 {"status":"healthy"} when Ready returns nil, else 503 with
// "starting", "unhealthy" or "draining". It is not for a liveness probe.
//
// As the other handlers it answers GET and HEAD, refuses anything else with
// 405, forbids caching, and tells no client which check failed or why. It
// allocates nothing.
func (h *Health) Handler() http.Handler {
	return newHandler(func() State {
		state, _ := h.state()
		return state
	})
}

// ReadyHandler returns the handler for /readyz. It answers as Handler does.
func (h *Health) ReadyHandler() http.Handler { return h.Handler() }

// StartupHandler returns the handler for /startupz: 200 {"status":"healthy"}
// when Started returns nil, else 503 {"status":"starting"}.
func (h *Health) StartupHandler() http.Handler {
	return newHandler(func() State {
		if h.Started() != nil {
			return StateStarting
		}
		return StateHealthy
	})
}

// LiveHandler returns the handler for /livez: 200 {"status":"healthy"} when
// Live returns nil, else 503 {"status":"unhealthy"}.
func (h *Health) LiveHandler() http.Handler {
	return newHandler(func() State {
		if h.Live() != nil {
			return StateUnhealthy
		}
		return StateHealthy
	})
}

type handler struct {
	decide  func() State
	noStore []string
	answers map[State]*answer
	refusal *answer
}

// answer is a response made in advance. Its header values are slices of their
// own, as http.Header wants them, because Header.Set would allocate them for
// every probe.
type answer struct {
	code                       int
	contentType, contentLength []string
	body                       []byte
}

func newHandler(decide func() State) *handler {
	const json = "application/json"
	h := &handler{
		decide:  decide,
		noStore: []string{"no-store"},
		answers: make(map[State]*answer),
		refusal: newAnswer(http.StatusMethodNotAllowed, "application/problem+json",
			`{"type":"about:blank","title":"Method Not Allowed","status":405}`),
	}
	for _, s := range []State{StateStarting, StateHealthy, StateUnhealthy, StateDraining} {
		code := http.StatusServiceUnavailable
		if s == StateHealthy {
			code = http.StatusOK
		}
		h.answers[s] = newAnswer(code, json, `{"status":"`+string(s)+`"}`)
	}
	return h
}

func newAnswer(code int, contentType, body string) *answer {
	return &answer{
		code:          code,
		contentType:   []string{contentType},
		contentLength: []string{strconv.Itoa(len(body))},
		body:          []byte(body),
	}
}

// ServeHTTP answers with the state of this moment.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var a *answer
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		a = h.answers[h.decide()]
	} else {
		a = h.refusal
		w.Header().Set("Allow", "GET, HEAD")
	}
	header := w.Header()
	header["Content-Type"] = a.contentType
	header["Content-Length"] = a.contentLength
	header["Cache-Control"] = h.noStore
	w.WriteHeader(a.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // a prober that went away needs no answer
	}
}
