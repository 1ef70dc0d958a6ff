package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLevel is the zap level that level reaches. Fatal and panic are not reached:
// cores sync on them, and an fsync a record is a stall.
func zapLevel(level slog.Level) zapcore.Level {
	switch {
	case level < slog.LevelInfo:
		return zapcore.DebugLevel
	case level < slog.LevelWarn:
		return zapcore.InfoLevel
	case level < slog.LevelError:
		return zapcore.WarnLevel
	}
	return zapcore.ErrorLevel
}

// toCore hands a finished record to Config.Core. Its fields are read back from
// the line, so that the core gets what an output would: redacted, cut and clean.
func (l *Logger) toCore(r *record, out *output) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("logging: the Core panicked: %v", v)
		}
		out.count(err)
	}()
	fields, err := l.fields(r)
	if err != nil {
		return err
	}
	// An audit record is not the core's to leave out: no Check.
	if out == l.pipe.audit {
		return l.core.Write(r.entry, fields)
	}
	if checked := l.core.Check(r.entry, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}

// fields are those of the line but for what the entry has.
func (l *Logger) fields(r *record) (fields []zapcore.Field, err error) {
	d := json.NewDecoder(bytes.NewReader(r.buf))
	d.UseNumber()
	k := l.keys
	if _, err := d.Token(); err != nil { // the brace
		return nil, err
	}
	for inside := false; ; { // inside the object of all attributes, whose names are theirs
		name, err := d.Token()
		switch {
		case err == io.EOF:
			return fields, nil
		case err != nil:
			return nil, err
		case name == json.Delim('}'):
			inside = false
			continue
		case name == k.attributes.name && !inside:
			inside = true
			if _, err := d.Token(); err != nil {
				return nil, err
			}
			continue
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if inside {
			fields = append(fields, fieldOf(name.(string), value))
			continue
		}
		switch name {
		case k.time.name, k.number.name, k.logger.name:
		case k.message.name:
			r.entry.Message, _ = value.(string)
		case k.level.name:
			if !plainLevel(r.level) {
				fields = append(fields, zap.String("slog_level", r.level.String()))
			}
		default:
			fields = append(fields, fieldOf(name.(string), value))
		}
	}
}

func fieldOf(name string, value any) zapcore.Field {
	switch v := value.(type) {
	case string:
		return zap.String(name, v)
	case bool:
		return zap.Bool(name, v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return zap.Int64(name, n)
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return zap.Uint64(name, n)
		}
		if f, err := v.Float64(); err == nil {
			return zap.Float64(name, f)
		}
	}
	return zap.Reflect(name, value)
}
