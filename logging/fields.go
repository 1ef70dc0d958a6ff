package logging

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func stringField(key, value string) zapcore.Field { return zap.String(key, value) }

func intField(key string, value int64) zapcore.Field { return zap.Int64(key, value) }

func floatField(key string, value float64) zapcore.Field { return zap.Float64(key, value) }

// appendAttr translates a as slog.Handler demands: values are resolved, empty
// attributes and groups ignored, groups without a key inlined.
func appendAttr(fields []zapcore.Field, a slog.Attr) []zapcore.Field {
	v := a.Value.Resolve()
	if a.Key == "" && v.Equal(slog.Value{}) {
		return fields
	}
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key == "" {
			for _, inner := range v.Group() {
				fields = appendAttr(fields, inner)
			}
			return fields
		}
		if g := groupOf(v); len(g) > 0 {
			fields = append(fields, zap.Object(a.Key, g))
		}
		return fields
	case slog.KindString:
		return append(fields, stringField(a.Key, v.String()))
	case slog.KindInt64:
		return append(fields, intField(a.Key, v.Int64()))
	case slog.KindUint64:
		return append(fields, zap.Uint64(a.Key, v.Uint64()))
	case slog.KindFloat64:
		return append(fields, floatField(a.Key, v.Float64()))
	case slog.KindBool:
		return append(fields, zap.Bool(a.Key, v.Bool()))
	case slog.KindDuration:
		return append(fields, zap.Duration(a.Key, v.Duration()))
	case slog.KindTime:
		return append(fields, zap.Time(a.Key, v.Time()))
	}
	return append(fields, anyField(a.Key, v.Any()))
}

// group is a slog group whose members are translated already.
type group []zapcore.Field

func groupOf(v slog.Value) group {
	var g group
	for _, a := range v.Group() {
		g = appendAttr(g, a)
	}
	return g
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (g group) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, f := range g {
		f.AddTo(enc)
	}
	return nil
}

// anyField encodes value as slog.JSONHandler does: an error by its text, all
// else by encoding/json. What fails or panics in that becomes text itself: a
// broken value must not cost the record, let alone the process.
func anyField(key string, value any) (f zapcore.Field) {
	defer func() {
		if v := recover(); v != nil {
			f = stringField(key, fmt.Sprintf("!PANIC: %v", v))
		}
	}()
	if err, ok := value.(error); ok {
		if _, ok := value.(json.Marshaler); !ok {
			return stringField(key, err.Error())
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return stringField(key, "!ERROR:"+err.Error())
	}
	return zap.Reflect(key, json.RawMessage(text))
}

func asIs(s string) string { return s }

// oneLine escapes what could end a console line or steer a terminal: the
// console encoder writes messages as they are. (The JSON encoder escapes.)
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafeRune(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// limit cuts what a client chose to n bytes at most, at a rune's start.
func limit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
