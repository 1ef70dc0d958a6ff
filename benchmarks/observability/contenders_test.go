package obsbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Each contender does what it is measured at.
func TestEveryContender(t *testing.T) {
	for _, table := range allTables() {
		t.Run(table.Name, func(t *testing.T) {
			if len(table.Contenders) < 3 {
				t.Errorf("%d contenders", len(table.Contenders))
			}
			for _, c := range table.Contenders {
				s, err := table.turn(c, time.Millisecond)
				if err != nil || s.Ops < table.Batch {
					t.Errorf("%s: %d operations, %v", c.Name, s.Ops, err)
				}
			}
		})
	}
}

// A logger that left something out would not do the same work.
func TestEveryRecordHasEverything(t *testing.T) {
	for _, source := range []bool{false, true} {
		for _, r := range recorders(source) {
			var out bytes.Buffer
			log, err := r.new(&out)
			if err != nil {
				t.Fatal(err)
			}
			if log == nil {
				continue
			}
			log()
			if n := strings.Count(out.String(), "\n"); n != 1 || !strings.HasSuffix(out.String(), "\n") {
				t.Errorf("%s: %q is not one line", r.name, out.String())
			}
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
			checkAttributes(t, r.name, got)
			text := out.String()
			if !strings.Contains(text, "request served") || !strings.Contains(text, time.Now().UTC().Format("2006-01-")) ||
				!strings.Contains(strings.ToUpper(text), "INFO") {
				t.Errorf("%s: message, time or level is not in %s", r.name, text)
			}
			if has := strings.Contains(text, "records.go") || strings.Contains(text, "throughSlog"); has != source {
				t.Errorf("%s: the source is there: %v in %s", r.name, has, text)
			}
		}
	}
}

func checkAttributes(t *testing.T, name string, got map[string]any) {
	t.Helper()
	for key, want := range map[string]any{
		"model_id": "llama-3-70b", "tenant": "acme", "path": "/v1/completions", "tokens": 512.0, "bytes": 1048576.0,
		"sequence": 7.0, "cached": true, "ratio": 0.75, "cause": errBad.Error(),
	} {
		if got[key] != want {
			t.Errorf("%s: %s is %v, want %v", name, key, got[key], want)
		}
	}
	// In seconds, in nanoseconds or, zerolog's, in milliseconds.
	if d, _ := got["elapsed"].(float64); d == 0 || math.Mod(math.Log10(d/1.5), 3) != 0 {
		t.Errorf("%s: elapsed is %v", name, got["elapsed"])
	}
}

// A probe that said yes whatever the check says would be quick.
func TestEveryProbeKnows(t *testing.T) {
	for _, p := range probers() {
		for want, result := range map[int]error{http.StatusOK: nil, http.StatusServiceUnavailable: errors.New("device lost")} {
			h, closeIt, err := p.new(func(context.Context) error { return result })
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != want {
				t.Errorf("%s: the check says %v, the probe %d", p.name, result, w.Code)
			}
			if closeIt != nil {
				closeIt()
			}
		}
	}
}

// A wrong answer must end a measurement.
func TestErrorsEndAMeasurement(t *testing.T) {
	wrong := errors.New("wrong")
	if _, err := measure(func(int, int) error { return wrong }, 1, 1, time.Millisecond); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
}
