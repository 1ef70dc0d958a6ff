package logging

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

func sampled(id string) *reqstate.Record { return &reqstate.Record{RequestID: id, Status: 200} }

// The share that is kept is Ratio, whatever ids look like, and one request fares
// the same everywhere.
func TestSampleRatio(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	for _, ratio := range []float64{0, 0.01, 0.5, 1} {
		s := &Sample{Ratio: ratio}
		for name, next := range map[string]func(i int) *reqstate.Record{
			"random":   func(int) *reqstate.Record { return sampled(NewRequestID()) },
			"counting": func(i int) *reqstate.Record { return sampled("req-" + string(binary.AppendUvarint(nil, uint64(i)))) },
			"trace": func(int) *reqstate.Record {
				rec := sampled("the same")
				binary.BigEndian.PutUint64(rec.TraceID[8:], rng.Uint64())
				return rec
			},
		} {
			kept := 0
			for i := range n {
				rec := next(i)
				if s.keeps(rec) {
					kept++
				}
				if s.keeps(rec) != (&Sample{Ratio: ratio}).keeps(rec) {
					t.Fatal("two services disagree")
				}
			}
			if got := float64(kept) / n; got < ratio*0.7 || got > ratio*1.3 {
				t.Errorf("%s: kept %v of %v", name, got, ratio)
			}
		}
	}
}

// The same ratio keeps the records of the traces that OpenTelemetry's sampler does,
// which is by the lower half of the trace id, less one bit.
func TestSampleAgreesWithTraces(t *testing.T) {
	rec := sampled("")
	for _, tt := range []struct {
		low  uint64
		keep bool
	}{{0, true}, {1<<61 - 1, true}, {1 << 61, false}, {1<<64 - 1, false}} {
		rec.TraceID[0] = 1
		binary.BigEndian.PutUint64(rec.TraceID[8:], tt.low)
		if got := (&Sample{Ratio: 0.125}).keeps(rec); got != tt.keep {
			t.Errorf("%x: %v", tt.low, got)
		}
	}
}

// What went wrong, was slow or is marked is written whatever Ratio is.
func TestSampleKeeps(t *testing.T) {
	s := &Sample{SlowerThan: time.Second}
	for name, tt := range map[string]struct {
		rec  reqstate.Record
		keep bool
	}{
		"fine":       {reqstate.Record{Status: 200, Duration: time.Second - 1}, false},
		"a 404":      {reqstate.Record{Status: 404}, false},
		"a 500":      {reqstate.Record{Status: 500}, true},
		"shed":       {reqstate.Record{Status: 503, Reason: "queue-full"}, true},
		"slow":       {reqstate.Record{Status: 200, Duration: time.Second}, true},
		"gone":       {reqstate.Record{Status: 499, Outcome: reqstate.ClientGone}, true},
		"marked":     {reqstate.Record{Status: 200, Attrs: []slog.Attr{slog.Int("a", 1), Keep()}}, true},
		"not marked": {reqstate.Record{Status: 200, Attrs: []slog.Attr{slog.Any("", lazy{})}}, false},
	} {
		if got := s.keeps(&tt.rec); got != tt.keep {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (&Sample{}).keeps(&reqstate.Record{Status: 200, Duration: time.Hour}) {
		t.Error("without SlowerThan all is slow")
	}
	if (*Sample)(nil).Validate() != nil || !(*Sample)(nil).keeps(sampled("x")) {
		t.Error("nil keeps not all")
	}
}

// What is left out is counted, and what a level leaves out is not sampled out.
func TestSampledOut(t *testing.T) {
	l, buf := newTest(t, Config{})
	status := 200
	h := Middleware(l, MiddlewareConfig{Sample: &Sample{}, Levels: map[string]slog.Level{"/debug": slog.LevelDebug}})(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Pattern = r.URL.Path
			if r.URL.Path == "/kept" {
				AddAttrs(r.Context(), Keep())
			}
			w.WriteHeader(status)
		}))
	for _, path := range []string{"/", "/", "/debug", "/kept"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	status = 500
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	all := lines(t, buf)
	if len(all) != 2 || all[0]["route"] != "/kept" || all[1]["status"] != 500.0 {
		t.Errorf("%v", all)
	}
	if s := l.Stats(); s != (Stats{Written: 2, SampledOut: 2}) {
		t.Errorf("%+v", s)
	}
}

func TestTrustedPeers(t *testing.T) {
	trust := TrustedPeers(netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("fd00::/16"), netip.MustParsePrefix("::ffff:192.168.0.0/112"))
	for addr, want := range map[string]bool{
		"10.9.9.9:1": true, "11.0.0.1:1": false, "[fd00::1]:1": true, "[fd00::1%eth0]:1": true, "[::ffff:10.0.0.1]:1": true,
		"192.168.5.5:80": true, "192.169.0.0:80": false, "[fe80::1]:1": false, "@": false, "": false, "10.9.9.9": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		if got := trust(r); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
	if TrustedPeers()(httptest.NewRequest("GET", "/", nil)) {
		t.Error("no prefix trusts")
	}
	defer func() {
		if v := recover(); v != "logging: TrustedPeers: prefix 1 is not valid" {
			t.Error(v)
		}
	}()
	TrustedPeers(netip.MustParsePrefix("::/0"), netip.Prefix{})
}
