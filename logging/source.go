package logging

import (
	"maps"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// sources remembers, as the record has it, what runtime.CallersFrames says of a
// call site, which costs two allocations each time it is asked. It grows with
// the program's log statements, not with its traffic.
type sources struct {
	known atomic.Pointer[map[uintptr]string] // never changed, only replaced
	mu    sync.Mutex                         // held while it is
}

// source adds where in the code a record was made.
func (r *record) source(pc uintptr) {
	if pc == 0 || r.l.omitSource {
		return
	}
	s := &r.l.sources
	text, ok := "", false
	if m := s.known.Load(); m != nil {
		text, ok = (*m)[pc]
	}
	if !ok {
		text = s.learn(pc, r.l.encodeSource)
	}
	r.appendSource(text)
}

func (r *record) appendSource(text string) {
	if r.buf[len(r.buf)-1] == '{' && text != "" {
		text = text[r.l.comma:]
	}
	r.buf = append(r.buf, text...)
}

func (s *sources) learn(pc uintptr, encode func(runtime.Frame) string) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	text := encode(frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[uintptr]string)
	if m := s.known.Load(); m != nil {
		maps.Copy(next, *m)
	}
	next[pc] = text
	s.known.Store(&next)
	return text
}

// encodeSource returns the fields for frame, with a comma before the first. A
// file is named below its package: where the program was built is nobody's
// business.
func (l *Logger) encodeSource(frame runtime.Frame) string {
	if frame.Function == "" {
		return ""
	}
	module, function := splitFunction(frame.Function)
	r := &record{l: l, keys: l.keys, buf: []byte("0")}
	start := -1
	if l.keys.source.name != "" {
		start = r.open(l.keys.source)
	}
	if l.keys.module.name != "" {
		r.str(l.keys.module, module)
		r.str(l.keys.function, function)
	} else {
		r.str(l.keys.function, strings.ReplaceAll(frame.Function, "%2e", "."))
		r.str(l.keys.file, module+"/"+path.Base(frame.File))
	}
	r.int(l.keys.line, int64(frame.Line))
	if start >= 0 {
		r.close(start)
	}
	return string(r.buf[1:])
}

// splitFunction parts "example.com/a/b.(*T).M" into its import path and the
// rest. The linker escapes dots in the path's last element as %2e, so that the
// first one after the last slash is the separator. (A type argument may hold
// both, but the linker writes "[...]" for those.)
func splitFunction(name string) (module, function string) {
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot < 0 {
		return name, ""
	}
	return strings.ReplaceAll(name[:slash+dot], "%2e", "."), name[slash+dot+1:]
}
