package logging

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// A record is a line in the making. It is made by begin, filled in place by the
// methods below, and written and recycled by end.
type record struct {
	l          *Logger
	keys       *keys
	buf        []byte
	attributes int // where the object of all attributes begins, if there is one
	text       int // where the JSON part begins: 0, or after a console line's columns
	depth      int // open objects of attributes
	left       int // attributes that may still be added
	dropped    int // and those that were not
	ids        ids // what the record has of these
	nested     int // groups that the attribute in hand is in, With's and inlined ones too
	taken      *nameSet
	given      class // of names that a record may have once, those that attributes gave
	json       *jsonEncoder
	level      slog.Level
	entry      zapcore.Entry // for a core
}

// ids tell the request, and the span of it, that a record belongs to.
type ids struct {
	request string
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// A request is a State, or the Record that it became.
type request interface {
	IDs() (request string, trace [16]byte, span [8]byte)
}

func idsOf(r request) (id ids) {
	id.request, id.trace, id.span = r.IDs()
	if rec, ok := r.(*reqstate.Record); ok {
		id.sampled = rec.Sampled
	}
	return id
}

// ids are those of the request that ctx belongs to and of the span in it, which
// may be one inside the request's own.
func (l *Logger) ids(ctx context.Context) (id ids) {
	if ctx == nil {
		return id
	}
	if s := reqstate.FromContext(ctx); s != nil {
		id = l.idsOfState(s)
	}
	if l.trace != nil {
		l.askTrace(ctx, &id)
	}
	return id
}

func (l *Logger) idsOfState(s *reqstate.State) ids {
	if l.keys.sampled.name == "" {
		return idsOf(s)
	}
	rec := s.Record() // a copy of some 400 bytes, which only this schema needs
	return ids{rec.RequestID, rec.TraceID, rec.SpanID, rec.Sampled}
}

// askTrace survives a TraceContext that panics: it is not ours.
func (l *Logger) askTrace(ctx context.Context, id *ids) {
	defer func() { _ = recover() }()
	if trace, span, ok := l.trace(ctx); ok {
		id.sampled = id.sampled && id.trace == trace
		id.trace, id.span = trace, span
	}
}

// Bounds of a record beside Config's.
const (
	maxAttrs  = 128      // groups' members included
	maxDepth  = 16       // of groups, which a LogValue may nest without end
	maxKey    = 256      // bytes of an attribute's name
	maxPooled = 64 << 10 // what is larger is left to the garbage collector
)

// begin starts the record of an admitted event. The built-in fields and the ids
// come first, outside of all groups.
func (l *Logger) begin(name string, level slog.Level, at time.Time, message string, id ids) *record {
	r, _ := l.pool.Get().(*record)
	if r == nil {
		r = &record{l: l, keys: l.keys, buf: make([]byte, 0, 1024)}
	}
	r.buf, r.text, r.ids = r.buf[:0], 0, id
	r.depth, r.nested, r.left, r.dropped, r.taken, r.given = 0, 0, maxAttrs, 0, l.taken, 0
	level = min(max(level, minLevel), maxLevel)
	if l.core != nil {
		r.level = level
		r.entry = zapcore.Entry{Level: zapLevel(level), Time: at, LoggerName: name, Message: message}
	}
	if l.console {
		r.columns(name, level, at, message)
	} else {
		r.head(name, level, at, message)
	}
	if id.trace != [16]byte{} {
		b := append(append(appendKey(r.buf, l.keys.traceID), '"'), l.tracePrefix...)
		r.buf = append(appendHex(b, id.trace[:]), '"')
	}
	if id.span != [8]byte{} {
		r.buf = append(appendHex(append(appendKey(r.buf, l.keys.spanID), '"'), id.span[:]), '"')
	}
	if id.sampled && l.keys.sampled.name != "" {
		r.bool(l.keys.sampled, true)
	}
	if l.keys.attributes.name != "" {
		r.attributes = r.open(l.keys.attributes)
		r.depth = 0 // its members are top-level attributes
	}
	if id.request != "" {
		r.str(l.keys.requestID, id.request)
	}
	return r
}

func (r *record) head(name string, level slog.Level, at time.Time, message string) {
	l := r.l
	b := append(r.buf, '{')
	if !at.IsZero() {
		b = append(append(b, l.keys.time.first...), '"')
		b = append(appendTime(b, at), '"')
	}
	if text := l.headOf(name, level); at.IsZero() {
		b = append(b, text[l.comma:]...)
	} else {
		b = append(b, text...)
	}
	r.buf = b
	r.string(message)
}

// heads are what encodeHead returns for DEBUG, INFO, WARN and ERROR of the Logger's
// own name and of the audit stream's.
type heads [2][4]string

func (l *Logger) makeHeads() {
	for i := range l.heads[0] {
		level := slog.Level(4*i) + slog.LevelDebug
		l.heads[0][i] = l.encodeHead(l.name, level)
		l.heads[1][i] = l.encodeHead(auditName, level)
	}
}

func (l *Logger) headOf(name string, level slog.Level) string {
	i := uint(level - slog.LevelDebug)
	switch {
	case i%4 != 0 || i >= 16:
	case name == l.name:
		return l.heads[0][i/4]
	case name == auditName:
		return l.heads[1][i/4]
	}
	return l.encodeHead(name, level)
}

// encodeHead returns the fields from the level up to the message's name, each after
// a comma.
func (l *Logger) encodeHead(name string, level slog.Level) string {
	k := l.keys
	r := &record{l: l, keys: k, buf: []byte{0}}
	r.str(k.level, levelText(l.schema, level))
	if k.number.name != "" {
		r.int(k.number, severityNumber(level))
	}
	if l.schema == GCP && !plainLevel(level) {
		r.str(l.levelKey, level.String())
	}
	if name != "" {
		r.str(k.logger, name)
	}
	return string(r.buf[1:]) + k.constant + k.message.json
}

// columns begins a console line: what a person looks for first, between tabs.
func (r *record) columns(name string, level slog.Level, at time.Time, message string) {
	if !at.IsZero() {
		r.buf = append(appendTime(r.buf, at), '\t')
	}
	r.buf = append(append(r.buf, levelText(r.l.schema, level)...), '\t')
	if name != "" {
		r.buf = append(appendLine(r.buf, name), '\t')
	}
	kept := limit(message, r.l.maxField)
	r.buf = appendMissing(appendLine(r.buf, kept), len(message)-len(kept))
	r.text = len(r.buf)
	r.buf = append(r.buf, "\t{"...)
}

// end writes r to the Logger's output and recycles it.
func (l *Logger) end(r *record) error { return l.endTo(r, l.out) }

func (l *Logger) endTo(r *record, out *output) error {
	if r.keys.attributes.name != "" {
		r.close(r.attributes)
	}
	if r.dropped > 0 { // what was left out is said past every limit
		r.int(r.keys.dropped, int64(r.dropped))
	}
	if r.buf[len(r.buf)-1] == '{' && r.l.console {
		r.buf = r.buf[:r.text] // no field at all
	} else {
		r.buf = append(r.buf, '}')
	}
	r.buf = append(r.buf, '\n')
	var err error
	if out.to.w == nil {
		err = l.toCore(r, out)
		r.entry = zapcore.Entry{} // its texts are the caller's
	} else {
		_, err = out.Write(r.buf)
	}
	if cap(r.buf) <= maxPooled {
		l.pool.Put(r)
	}
	return err
}

// appendKey appends a comma, if one is due, and k's name. This function and its
// like work on a local slice: storing it back for each field was a third of what an
// access record costs.
func appendKey(b []byte, k key) []byte {
	if b[len(b)-1] == '{' {
		return append(b, k.first...)
	}
	return append(b, k.json...)
}

// appendStr adds a text of any content, that has been cut.
func appendStr(b []byte, k key, v string) []byte {
	b = append(appendKey(b, k), '"')
	return append(appendText(b, v), '"')
}

// appendWord adds one of the package's own words, in which nothing is to be escaped.
func appendWord(b []byte, k key, v string) []byte {
	b = append(appendKey(b, k), '"')
	return append(append(b, v...), '"')
}

func appendInt(b []byte, k key, v int64) []byte {
	b = appendKey(b, k)
	if k.unit == quoted {
		return append(strconv.AppendInt(append(b, '"'), v, 10), '"')
	}
	return strconv.AppendInt(b, v, 10)
}

// appendDur adds a duration in k's unit, exactly.
func appendDur(b []byte, k key, v time.Duration) []byte {
	b = appendKey(b, k)
	switch k.unit {
	case seconds:
		return appendDuration(b, v, 9)
	case nanoseconds:
		return strconv.AppendInt(b, int64(v), 10)
	case quoted:
		return append(appendDuration(append(b, '"'), v, 9), 's', '"')
	}
	return appendDuration(b, v, 6)
}

func (r *record) name(k key) { r.buf = appendKey(r.buf, k) }

// str adds a string. This method and its like are for the package's own fields:
// they neither count nor redact.
func (r *record) str(k key, v string) {
	r.name(k)
	r.string(v)
}

// long is str with a bound of its own, for what is of use as a whole only.
func (r *record) long(k key, v string, n int) {
	r.name(k)
	r.buf = append(appendCut(append(r.buf, '"'), v, n), '"')
}

func (r *record) string(v string) {
	b := append(r.buf, '"')
	if len(v) > r.l.maxField {
		b = appendCut(b, v, r.l.maxField)
	} else {
		b = appendText(b, v)
	}
	r.buf = append(b, '"')
}

func (r *record) int(k key, v int64) { r.buf = appendInt(r.buf, k, v) }

func (r *record) uint(k key, v uint64) { r.buf = strconv.AppendUint(appendKey(r.buf, k), v, 10) }

func (r *record) bool(k key, v bool) { r.buf = strconv.AppendBool(appendKey(r.buf, k), v) }

func (r *record) float(k key, v float64) { r.buf = appendFloat(appendKey(r.buf, k), v) }

func (r *record) dur(k key, v time.Duration) { r.buf = appendDur(r.buf, k, v) }

// remote adds a peer's address, its port apart where the schema has it so.
func (r *record) remote(addr string) {
	if r.keys.remotePort.name != "" {
		if host, port, err := net.SplitHostPort(addr); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				r.buf = appendStr(r.buf, r.keys.remote, limit(host, maxField))
				r.uint(r.keys.remotePort, n)
				return
			}
		}
	}
	r.buf = appendStr(r.buf, r.keys.remote, limit(addr, maxField))
}

// open begins an object and returns what close is to be told. An object that
// stays empty vanishes.
func (r *record) open(k key) (start int) {
	start = len(r.buf)
	r.name(k)
	r.buf = append(r.buf, '{')
	r.depth++
	return start
}

func (r *record) close(start int) {
	r.depth--
	if r.buf[len(r.buf)-1] == '{' {
		r.buf = r.buf[:start]
		return
	}
	r.buf = append(r.buf, '}')
}

// openHTTP and closeHTTP stand around the fields that GCP has in httpRequest.
func (r *record) openHTTP() (start int) {
	r.taken = r.l.takenAccess
	if r.keys.http.name == "" {
		return -1
	}
	return r.open(r.keys.http)
}

func (r *record) closeHTTP(start int) {
	if start >= 0 {
		r.close(start)
	}
}

// reserved reports whether an attribute of that name would be a second one of a
// built-in field's, or of an id that r has.
func (r *record) reserved(name string) bool {
	if name == "" {
		return false
	}
	c := r.taken.class(name)
	return c == builtIn || r.ids.has(c)
}
