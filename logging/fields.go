package logging

import (
	"log/slog"
	"strconv"
)

// attr adds an attribute as slog.Handler demands: its value is resolved, an empty
// one and an empty group are ignored, a group without a key is inlined. What is
// one too many, or too large for the record, is left out and counted.
func (r *record) attr(a slog.Attr) {
	v := a.Value
	kind := v.Kind()
	if kind == slog.KindLogValuer {
		v = v.Resolve()
		kind = v.Kind()
	}
	switch kind {
	case slog.KindGroup:
		r.group(a.Key, v.Group())
		return
	case slog.KindAny:
		if a.Key == "" && v.Any() == nil {
			return
		}
	}
	if r.left <= 0 {
		r.dropped++
		return
	}
	r.left--
	start := len(r.buf)
	r.attrName(a.Key, v)
	if r.l.redact.secret(a.Key) {
		r.buf = append(r.buf, `"`+redacted+`"`...)
	} else {
		r.value(kind, v)
	}
	if len(r.buf) > r.l.maxRecord {
		r.buf = r.buf[:start]
		r.dropped++
	}
}

// group adds a group. It counts as an attribute, so that no tree of LogValues,
// however wide and deep, is walked to its end.
func (r *record) group(name string, members []slog.Attr) {
	if len(members) == 0 {
		return
	}
	if r.left <= 0 || len(r.buf)+len(name) > r.l.maxRecord {
		r.dropped++
		return
	}
	r.left--
	if r.nested++; r.nested > maxDepth {
		members = []slog.Attr{slog.String("!", "too deep")}
	}
	defer func() { r.nested-- }()
	if name == "" {
		for _, a := range members {
			r.attr(a)
		}
		return
	}
	start := len(r.buf)
	r.groupName(name)
	if r.l.redact.secret(name) {
		r.buf = append(r.buf, `"`+redacted+`"`...)
		return
	}
	r.buf = append(r.buf, '{')
	r.depth++
	for _, a := range members {
		r.attr(a)
	}
	r.close(start)
}

// raw appends a comma, if one is due, and name.
func (r *record) raw(name string) {
	if r.buf[len(r.buf)-1] != '{' {
		r.buf = append(r.buf, ", "[:r.l.comma]...)
	}
	r.buf = append(r.buf, '"')
	if len(name) > maxKey {
		r.buf = appendCut(r.buf, name, maxKey)
	} else {
		r.buf = appendText(r.buf, name)
	}
	r.buf = append(r.buf, `": `[:1+r.l.comma]...)
}

// groupName is raw for a group, which at the top may not have the name of a
// built-in field: a JSON object with two members of a name is read in as many ways
// as there are readers.
func (r *record) groupName(name string) {
	if r.depth == 0 && name != "" {
		switch r.taken.class(name) {
		case builtIn, ofRequest, ofTrace, ofSpan: // the id may come yet
			name = "attr." + name
		}
	}
	r.raw(name)
}

// attrName is groupName for an attribute, which may go by a name of the schema's.
func (r *record) attrName(name string, v slog.Value) {
	if r.depth > 0 || name == "" {
		r.raw(name)
		return
	}
	switch class := r.taken.class(name); class {
	case 0:
	case ofError, ofException:
		if k := r.schemaName(class, v); k.name != "" && r.given&class == 0 {
			r.given |= class
			r.name(k)
			return
		}
		if r.l.schema == ECS && class == ofError {
			name = "attr." + name // error is an object
		}
	case ofRequest, ofTrace, ofSpan:
		r.given |= class
		if r.ids.has(class) {
			name = "attr." + name
		}
	default:
		name = "attr." + name
	}
	r.raw(name)
}

// schemaName is the schema's key for an error or a stack, if it has one and v is
// one.
func (r *record) schemaName(class class, v slog.Value) key {
	if _, isError := v.Any().(error); !isError && v.Kind() != slog.KindString {
		return new(field)
	}
	if class == ofError {
		return r.keys.errorMessage
	}
	return r.keys.exception
}

// value appends a resolved value that is no group.
func (r *record) value(kind slog.Kind, v slog.Value) {
	switch kind {
	case slog.KindString:
		r.string(v.String())
	case slog.KindInt64:
		r.buf = strconv.AppendInt(r.buf, v.Int64(), 10)
	case slog.KindUint64:
		r.buf = strconv.AppendUint(r.buf, v.Uint64(), 10)
	case slog.KindFloat64:
		r.buf = appendFloat(r.buf, v.Float64())
	case slog.KindBool:
		r.buf = strconv.AppendBool(r.buf, v.Bool())
	case slog.KindDuration:
		r.buf = appendDuration(r.buf, v.Duration(), 9)
	case slog.KindTime:
		r.buf = append(appendTime(append(r.buf, '"'), v.Time()), '"')
	default:
		r.any(v.Any())
	}
}
