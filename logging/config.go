package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"go.uber.org/zap/zapcore"
)

// Format is how records are written. The zero value is JSON.
type Format uint8

const (
	// JSON writes one object a line.
	JSON Format = iota
	// Console writes one line for a person to read: time, level, logger,
	// message, then the fields as JSON.
	Console
)

// String returns "json" or "console".
func (f Format) String() string {
	switch f {
	case JSON:
		return "json"
	case Console:
		return "console"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// UnmarshalText accepts what String returns, for flags and configuration files.
func (f *Format) UnmarshalText(text []byte) error {
	for _, known := range []Format{JSON, Console} {
		if string(text) == known.String() {
			*f = known
			return nil
		}
	}
	return fmt.Errorf("logging: format %q is neither json nor console", text)
}

// MarshalText returns what String does.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Config says what a Logger writes, and where. The zero value is useful: JSON
// from level INFO on to standard output.
type Config struct {
	// Output gets each record in one Write; calls never overlap. nil means
	// os.Stdout.
	Output io.Writer
	// Core, if it is set, gets the records instead of Output, as entries of the
	// nearest zap level with fields (and slog_level, where that tells more); Format
	// is of no matter then. What its Check leaves out is not written, but for audit
	// records, which go straight to its Write, unless Audit is set. Each costs a
	// decoding more than a line would.
	Core zapcore.Core
	// Level is the lowest level written; the zero value is slog.LevelInfo.
	// (*Logger).SetLevel changes it later.
	Level slog.Level
	// Format is JSON or Console.
	Format Format
	// Schema names the built-in fields: Guide, ECS, OTel or GCP.
	Schema Schema
	// Name is the field "logger" of each record; "" leaves it out.
	Name string
	// OmitSource leaves out where in the code a record was made.
	OmitSource bool

	// TraceContext returns the ids of the span that a context is in; ok is false
	// if it is in none. With it, records made inside a child span have that span's
	// id: tracing.IDs is one. nil: records have the ids of the request's server
	// span, if a tracing middleware set them.
	TraceContext func(ctx context.Context) (trace [16]byte, span [8]byte, ok bool)
	// GCPProject is the project whose Cloud Trace has the traces; with it the GCP
	// schema writes a trace's full name. Other schemas have no use for it.
	GCPProject string

	// RedactKeys are names of secrets beside those that are known (see the
	// package's documentation). Case and punctuation do not matter.
	RedactKeys []string
	// MaxFieldBytes is how much of one message or value is kept; 0 means 16 KiB. It
	// is in [256, 1 MiB].
	MaxFieldBytes int
	// MaxRecordBytes is how long a record may grow by its attributes; those that
	// would make it longer are left out, and counted in it. 0 means 256 KiB, or four
	// times MaxFieldBytes if that is more. It is in [MaxFieldBytes, 16 MiB].
	MaxRecordBytes int

	// Audit gets the audit stream: the records of (*Logger).Audit and Usage, each in
	// one Write; calls never overlap. They are written before the call returns, and
	// a writer that is slow makes the callers wait. nil means Output. Of an
	// AsyncWriter, here or as Output, the buffer is passed by, so that audit records
	// may come before others that are older; one that is inside of another writer is
	// not known, and may drop them.
	Audit io.Writer
	// OnAuditError is told of each audit record that could not be written, after it
	// was counted, by the goroutine that wrote it. It must be safe for concurrent
	// use and must not write audit records itself.
	OnAuditError func(error)

	_ struct{}
}

func (c *Config) validate() error {
	var errs []error
	if c.Output == nil {
		c.Output = os.Stdout
	}
	if c.Format > Console {
		errs = append(errs, fmt.Errorf("logging: Config.Format: %v is not known", c.Format))
	}
	if c.Level < minLevel || c.Level > maxLevel {
		errs = append(errs, fmt.Errorf("logging: Config.Level: %d is not in [%d, %d]", c.Level, minLevel, maxLevel))
	}
	if c.Schema > GCP {
		errs = append(errs, fmt.Errorf("logging: Config.Schema: %v is not known", c.Schema))
	}
	for _, name := range c.RedactKeys {
		if len(normalize(nil, name)) == 0 {
			errs = append(errs, fmt.Errorf("logging: Config.RedactKeys: %q has no letter", name))
		}
	}
	errs = append(errs, within("MaxFieldBytes", &c.MaxFieldBytes, 16<<10, maxField, 1<<20))
	errs = append(errs, within("MaxRecordBytes", &c.MaxRecordBytes, max(256<<10, 4*c.MaxFieldBytes), c.MaxFieldBytes, 16<<20))
	return errors.Join(errs...)
}

// within puts otherwise in place of 0 and judges the rest.
func within(name string, n *int, otherwise, least, most int) error {
	if *n == 0 {
		*n = otherwise
	}
	if *n < least || *n > most {
		return fmt.Errorf("logging: Config.%s: %d is not in [%d, %d]", name, *n, least, most)
	}
	return nil
}
