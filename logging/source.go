package logging

import (
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// A source is where in the code a record was made.
type source struct {
	module, function string
	line             int64
}

// sources remembers what runtime.CallersFrames says of a call site, which
// costs two allocations each time it is asked. It grows with the program's log
// statements, not with its traffic.
type sources struct {
	known atomic.Pointer[map[uintptr]source] // never changed, only replaced
	mu    sync.Mutex                         // held while it is
}

func (s *sources) of(pc uintptr) source {
	if m := s.known.Load(); m != nil {
		if src, ok := (*m)[pc]; ok {
			return src
		}
	}
	if pc == 0 {
		return source{}
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	module, function := splitFunction(frame.Function)
	src := source{module, function, int64(frame.Line)}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[uintptr]source)
	if m := s.known.Load(); m != nil {
		maps.Copy(next, *m)
	}
	next[pc] = src
	s.known.Store(&next)
	return src
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

func appendSource(fields []zapcore.Field, src source) []zapcore.Field {
	if src == (source{}) {
		return fields
	}
	return append(fields,
		stringField("module", src.module), stringField("function", src.function), intField("line", src.line))
}
