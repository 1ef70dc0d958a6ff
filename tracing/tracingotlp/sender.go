package tracingotlp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A sender makes one attempt after the other, never two at once, to hand a
// request to the collector.
type sender interface {
	// send returns within ctx.
	send(ctx context.Context, request []byte) reply

	// close ends all connections, and comes last.
	close()
}

// A reply is what became of an attempt.
type reply struct {
	rejected int64         // spans that the collector took the request without
	message  string        // why, or a warning
	err      error         // nil: it took the request
	again    bool          // another attempt may succeed
	after    time.Duration // the collector wants it no earlier
}

// accepted is the reply to an answer of success.
func accepted(response []byte) reply {
	rejected, message, err := partial(response)
	if err != nil {
		// It has the spans all the same.
		return reply{message: err.Error()}
	}
	return reply{rejected: rejected, message: message}
}

// maxAnswer is how much of an answer is read, in bytes, and maxText how much of
// it an error shows.
const (
	maxAnswer = 64 << 10
	maxText   = 256
)

// excerpt makes a line of what the collector says, without the headers that it was
// sent: there are servers that repeat a key which they do not know.
func excerpt(text string, headers map[string]string) string {
	for _, value := range headers {
		for part := range strings.FieldsSeq(value) { // "Bearer …"
			if len(part) >= minSecret {
				text = strings.ReplaceAll(text, part, "[redacted]")
			}
		}
	}
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\ufffd"))
	return strings.TrimSpace(text)
}

// minSecret is how long a part of a header is at least, in bytes, that may be a secret.
const minSecret = 6

var errTimeout = errors.New("no answer within ExportTimeout")

// explain tells an attempt that took too long from one that failed.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("no connection: %w", err)
}
