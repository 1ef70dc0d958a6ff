package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	// Level is the lowest level written; the zero value is slog.LevelInfo.
	// (*Logger).SetLevel changes it later.
	Level slog.Level
	// Format is JSON or Console.
	Format Format
	// Name is the field "logger" of each record; "" leaves it out.
	Name string

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
	return errors.Join(errs...)
}
