package tracingotlp

import "fmt"

// A LostError says that [Provider.Close] ended before the collector had all
// spans.
type LostError struct {
	Spans uint64 // that had not been delivered when Close was called, and never will be
	Err   error  // why, as far as is known
}

func (e *LostError) Error() string {
	spans := "spans"
	if e.Spans == 1 {
		spans = "span"
	}
	return fmt.Sprintf("tracingotlp: %d %s lost at Close: %v", e.Spans, spans, e.Err)
}

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }
