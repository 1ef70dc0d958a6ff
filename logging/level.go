package logging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

const (
	maxLevelBody = 1 << 10
	maxLevelFor  = 24 * time.Hour
)

// LevelHandler returns a handler that shows and sets the level over HTTP:
//
//	GET              {"level":"INFO"}
//	PUT              the same, with "DEBUG", "INFO", "WARN", "ERROR" or one such as
//	                 "INFO+2", answers as GET does
//	PUT ?for=10m     sets it for so long, up to 24h, and then has it as it was, unless
//	                 it was set again, here or by SetLevel; the answer has "until", too
//
// It answers anything else with a problem document and no change. Each change, the
// one back included, is an audit record, "logging.level". The handler has no guard of its own: who may set
// the level may flood the disk, or have the logs go silent. Mount it behind package
// auth, or on a listener that only operators reach.
func (l *Logger) LevelHandler() http.Handler { return &levelHandler{l} }

type levelHandler struct{ l *Logger }

// A lease is of a level that is set for a while: one for a Logger, however many
// handlers it has.
type lease struct {
	mu     sync.Mutex  // held while the level is set
	timer  *time.Timer // nil: the level is set for good
	turn   uint64      // counts timers
	until  time.Time
	before slog.Level
}

func (h *levelHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		level, during, err := parseLevel(w, r)
		if err != nil {
			status := http.StatusBadRequest
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				status = http.StatusRequestEntityTooLarge
			}
			problem.Write(w, r, status, err.Error(), "", 0)
			return
		}
		from := h.l.lend(level, during)
		h.l.Audit(r.Context(), "logging.level", slog.String("from", from.String()), slog.String("to", level.String()), slog.Duration("for", during))
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		problem.Write(w, r, http.StatusMethodNotAllowed, "", "", 0)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// Texts always encode, and a client that has gone away is nobody to tell.
	_ = json.NewEncoder(w).Encode(h.state())
}

type levelState struct {
	Level string     `json:"level"`
	Until *time.Time `json:"until,omitempty"`
}

func (h *levelHandler) state() levelState {
	lease := &h.l.lease
	lease.mu.Lock()
	defer lease.mu.Unlock()
	s := levelState{Level: h.l.Level().String()}
	if lease.timer != nil {
		until := lease.until
		s.Until = &until
	}
	return s
}

// parseLevel's errors are for the client.
func parseLevel(w http.ResponseWriter, r *http.Request) (level slog.Level, during time.Duration, err error) {
	if text := r.URL.Query().Get("for"); text != "" {
		if during, err = time.ParseDuration(text); err != nil || during <= 0 || during > maxLevelFor {
			return 0, 0, fmt.Errorf("for is no duration in (0, %v]", maxLevelFor)
		}
	}
	var body struct {
		Level *string `json:"level"`
	}
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLevelBody))
	in.DisallowUnknownFields()
	if err := in.Decode(&body); err != nil || body.Level == nil {
		return 0, 0, notJSON(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return 0, 0, notJSON(err)
	}
	if err := level.UnmarshalText([]byte(*body.Level)); err != nil || level < minLevel || level > maxLevel {
		return 0, 0, errors.New("the level is not known")
	}
	return level, during, nil
}

func notJSON(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return errors.New(`the body is not {"level":"…"}`)
}

// lend sets the level, for good if during is 0, and returns what it was.
func (l *Logger) lend(level slog.Level, during time.Duration) (from slog.Level) {
	s := &l.lease
	s.mu.Lock()
	defer s.mu.Unlock()
	from = l.Level()
	before := from
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
		before = s.before // a second time in a row does not make the first last
	}
	l.level.Set(level)
	if during > 0 {
		s.turn++
		turn := s.turn
		s.before, s.until = before, time.Now().Add(during).UTC()
		s.timer = time.AfterFunc(during, func() { l.revert(turn) })
	}
	return from
}

// revert has the level as it was, unless it was set again since.
func (l *Logger) revert(turn uint64) {
	s := &l.lease
	s.mu.Lock()
	if s.timer == nil || s.turn != turn {
		s.mu.Unlock()
		return
	}
	s.timer = nil
	from, to := l.Level(), s.before
	l.level.Set(to)
	s.mu.Unlock()
	l.Audit(context.Background(), "logging.level", slog.String("from", from.String()), slog.String("to", to.String()))
}
