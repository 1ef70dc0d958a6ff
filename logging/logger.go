package logging

import (
	"context"
	"log/slog"
	"math"
	"sync"

	"go.uber.org/zap/zapcore"
)

// The levels that a Logger tells apart: a zapcore.Level is an int8.
const (
	minLevel slog.Level = math.MinInt8
	maxLevel slog.Level = math.MaxInt8
)

// Logger writes records to one output. Make it with New.
type Logger struct {
	name  string
	level *slog.LevelVar
	lease lease
	out   *output
	core  zapcore.Core // nil, or what takes the records of outputs without a writer
	slog  *slog.Logger
	pool  sync.Pool // of *record

	schema      Schema
	console     bool
	keys        *keys
	levelKey    key
	heads       heads
	taken       *nameSet // names that attributes may not have
	takenAccess *nameSet // the same in an access record
	comma       int      // bytes of a comma in this format
	tracePrefix string   // inside the quotes of a trace id
	trace       func(context.Context) ([16]byte, [8]byte, bool)
	omitSource  bool
	sources     sources
	redact      *redactor
	maxField    int
	maxRecord   int
	pipe        pipe
}

// New returns a Logger, or all that is wrong with cfg.
func New(cfg Config) (*Logger, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Core != nil {
		cfg.Output = nil
	}
	l := &Logger{
		name: cfg.Name, level: new(slog.LevelVar), out: &output{to: lineWriter{w: cfg.Output}},
		core: cfg.Core, schema: cfg.Schema, console: cfg.Format == Console && cfg.Core == nil, comma: 1,
		trace: cfg.TraceContext, omitSource: cfg.OmitSource,
		redact: newRedactor(cfg.RedactKeys), maxField: cfg.MaxFieldBytes, maxRecord: cfg.MaxRecordBytes,
	}
	if l.console {
		l.comma = 2
	}
	l.keys = keysOf(cfg.Schema, l.console)
	l.levelKey = l.key("level")
	l.taken, l.takenAccess = l.keys.names(cfg.Schema, false), l.keys.names(cfg.Schema, true)
	if cfg.Schema == GCP && cfg.GCPProject != "" {
		l.tracePrefix = "projects/" + string(appendText(nil, cfg.GCPProject)) + "/traces/"
	}
	l.makeHeads()
	l.level.Set(cfg.Level)
	l.pipe.init(l, &cfg)
	l.slog = slog.New(&handler{logger: l, left: maxAttrs})
	return l, nil
}

// key encodes a field's name that is the same in every schema.
func (l *Logger) key(name string) key { return makeKey(name, l.console) }

// Slog returns the logger for application code. Records that are logged with a
// request's context carry that request's ids.
func (l *Logger) Slog() *slog.Logger { return l.slog }

// Level returns the lowest level that is written.
func (l *Logger) Level() slog.Level { return l.level.Level() }

// SetLevel changes the lowest level that is written, for all records from now
// on, those of loggers derived with With included. Levels beyond -128 and 127
// are taken as those.
func (l *Logger) SetLevel(level slog.Level) {
	l.lend(min(max(level, minLevel), maxLevel), 0)
}

// Stats is a Logger's work so far.
type Stats struct {
	Written uint64 // records that the output took
	Failed  uint64 // records that it refused, wholly or in part, or panicked on; they are lost

	AuditWritten uint64 // the same of the audit stream, which Written and Failed have not
	AuditFailed  uint64

	SampledOut uint64 // access records that MiddlewareConfig.Sample left out
}

// Stats returns a snapshot.
func (l *Logger) Stats() Stats {
	p := &l.pipe
	return Stats{
		Written: l.out.written.Load(), Failed: l.out.failed.Load(),
		AuditWritten: p.audit.written.Load(), AuditFailed: p.audit.failed.Load(),
		SampledOut: p.sampledOut.Load(),
	}
}
