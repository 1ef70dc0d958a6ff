package logging

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"
)

// A zapcore.Level is an int8. The core behind gets slog's levels as they are,
// so that none collapses into another; ours alone judges and names them.
const (
	minLevel slog.Level = math.MinInt8
	maxLevel slog.Level = math.MaxInt8
)

// Logger writes records to one output. Make it with New.
type Logger struct {
	name    string
	level   *slog.LevelVar
	core    zapcore.Core
	out     *output
	slog    *slog.Logger
	line    func(string) string // makes a message fit the format
	sources sources
	pool    sync.Pool // of *[]zapcore.Field; the core's interface makes slices escape
}

// New returns a Logger, or all that is wrong with cfg.
func New(cfg Config) (*Logger, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Logger{name: cfg.Name, level: new(slog.LevelVar), out: &output{w: cfg.Output}, line: asIs}
	l.level.Set(cfg.Level)
	encoder := zapcore.EncoderConfig{
		TimeKey: "timestamp", LevelKey: "level", NameKey: "logger", MessageKey: "message",
		LineEnding:     "\n",
		EncodeTime:     encodeTime,
		EncodeLevel:    encodeLevel,
		EncodeDuration: zapcore.SecondsDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	enc := zapcore.NewJSONEncoder(encoder)
	if cfg.Format == Console {
		enc, l.line = zapcore.NewConsoleEncoder(encoder), oneLine
	}
	l.core = zapcore.NewCore(enc, l.out, everyLevel{})
	l.slog = slog.New(&handler{logger: l, core: l.core})
	return l, nil
}

// Slog returns the logger for application code. Records that are logged with a
// request's context carry that request's ids.
func (l *Logger) Slog() *slog.Logger { return l.slog }

// Level returns the lowest level that is written.
func (l *Logger) Level() slog.Level { return l.level.Level() }

// SetLevel changes the lowest level that is written, for all records from now
// on, those of loggers derived with With included. Levels beyond -128 and 127
// are taken as those.
func (l *Logger) SetLevel(level slog.Level) {
	l.level.Set(min(max(level, minLevel), maxLevel))
}

// emit writes an admitted record of the logger name with the fields that fill adds.
func (l *Logger) emit(core zapcore.Core, name string, level slog.Level, at time.Time, message string, fill func([]zapcore.Field) []zapcore.Field) error {
	p, _ := l.pool.Get().(*[]zapcore.Field)
	if p == nil {
		p = new([]zapcore.Field)
	}
	fields := fill((*p)[:0])
	err := core.Write(zapcore.Entry{
		Level:      zapcore.Level(min(max(level, minLevel), maxLevel)),
		Time:       at,
		LoggerName: name,
		Message:    message,
	}, fields)
	clear(fields) // the values are the caller's
	*p = fields
	l.pool.Put(p)
	return err
}

// Stats is a Logger's work so far.
type Stats struct {
	Written uint64 // records that the output took
	Failed  uint64 // records that it refused, wholly or in part, or panicked on; they are lost
}

// Stats returns a snapshot.
func (l *Logger) Stats() Stats {
	return Stats{Written: l.out.written.Load(), Failed: l.out.failed.Load()}
}

// output is the core's writer. It is no zapcore syncer's kin: the core syncs
// on what it takes for fatal levels, and an fsync a warning is a stall.
type output struct {
	mu              sync.Mutex
	w               io.Writer
	written, failed atomic.Uint64
}

// Write never panics: what a writer does must not cost the request that is
// being logged its answer.
func (o *output) Write(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("logging: the Output panicked: %v", v)
		}
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		if err != nil {
			o.failed.Add(1)
			return
		}
		o.written.Add(1)
	}()
	return o.w.Write(p)
}

func (*output) Sync() error { return nil }

// everyLevel lets the core write what the handler has admitted.
type everyLevel struct{}

func (everyLevel) Enabled(zapcore.Level) bool { return true }

func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	// AppendTimeLayout is what spares the string, where the encoder has it.
	const layout = time.RFC3339Nano
	if e, ok := enc.(interface{ AppendTimeLayout(time.Time, string) }); ok {
		e.AppendTimeLayout(t.UTC(), layout)
		return
	}
	enc.AppendString(t.UTC().Format(layout))
}

func encodeLevel(level zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(slog.Level(level).String())
}
