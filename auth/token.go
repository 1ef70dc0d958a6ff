package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Token is a credential for calls to others.
type Token struct {
	Value     string
	ExpiresAt time.Time // zero: unknown, or never
}

// A TokenSource gives tokens for calls. It must be safe for concurrent use, and
// return when ctx ends. [NewReuse] keeps what it gives.
type TokenSource interface {
	Token(ctx context.Context) (Token, error)
}

// TokenSourceFunc is a function as a [TokenSource].
type TokenSourceFunc func(ctx context.Context) (Token, error)

// Token calls f.
func (f TokenSourceFunc) Token(ctx context.Context) (Token, error) { return f(ctx) }

// maxTokenFile is as much as a server of this library reads of a token.
const maxTokenFile = 16 << 10

// FileTokenSource returns a source that reads the file at path each time, as
// what is in there changes: the token of a Kubernetes service account, which the
// kubelet projects into the pod and renews, or one that an agent writes. White
// space around it is cut off. A file that is empty, of more than 16 KiB or not a
// regular one is an error. When the token expires is unknown: behind [NewReuse] it is read
// anew after ReuseConfig.MaxAge.
func FileTokenSource(path string) TokenSource {
	return TokenSourceFunc(func(context.Context) (Token, error) {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() { // to read a pipe may never end
			err = fmt.Errorf("%s is not a regular file", path)
		}
		if err != nil {
			return Token{}, fmt.Errorf("auth: token file: %w", err)
		}
		file, err := os.Open(path)
		if err != nil {
			return Token{}, fmt.Errorf("auth: token file: %w", err)
		}
		defer func() { _ = file.Close() }()
		text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
		if err != nil {
			return Token{}, fmt.Errorf("auth: token file: %w", err)
		}
		if len(text) > maxTokenFile {
			return Token{}, fmt.Errorf("auth: token file %s has more than %d bytes", path, maxTokenFile)
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			return Token{}, fmt.Errorf("auth: token file %s is empty", path)
		}
		return Token{Value: string(text)}, nil
	})
}

// errTokenBytes does not say which bytes: they may be of the token.
var errTokenBytes = errors.New("auth: the token has something besides visible ASCII, or nothing, and is not sent")

// sendable reports whether a token may follow "Bearer": what RFC 6750 §2.1 allows,
// and the rest of visible ASCII, for there are such tokens. Anything else could
// end the field.
func sendable(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c >= 0x7F {
			return false
		}
	}
	return token != ""
}
