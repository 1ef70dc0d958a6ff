package ratelimitredis

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed decide.lua
var source string

var decide = redis.NewScript(source)

// An op is what a run of the script does.
type op byte

const (
	opAsk    op = iota // take cost if it fits, count times
	opCharge           // take cost without asking
	opCredit           // give cost back
	opLease            // take up to cost ahead
)

// appendTime appends d, which is not negative, as the script reads times.
func appendTime(b []byte, d time.Duration) []byte {
	s, n := uint64(d/time.Second), uint32(d%time.Second)
	b = append(b, byte(s>>32), byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
	return binary.BigEndian.AppendUint32(b, n)
}

func readTime(b string) time.Duration {
	s := int64(b[0])<<32 | int64(b[1])<<24 | int64(b[2])<<16 | int64(b[3])<<8 | int64(b[4])
	n := int64(b[5])<<24 | int64(b[6])<<16 | int64(b[7])<<8 | int64(b[8])
	return time.Duration(s*int64(time.Second) + n)
}

const (
	runBytes   = 1 + 2 + 9 + 9 // op, count, cost, room
	headBytes  = 4             // of the reply: holders
	replyBytes = 9 + 2 + 9     // of each run: taken before, let through, leased
)

// errReply says that the server's answer is not the script's.
var errReply = errors.New("ratelimitredis: an answer that is not the script's")

// run runs the script. A server that does not know it, because it was restarted
// or its scripts were flushed, is sent the source.
func run(ctx context.Context, client redis.UniversalClient, keys []string, blob []byte) (string, error) {
	cmd := decide.EvalSha(ctx, client, keys, blob)
	if err := cmd.Err(); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT ") {
		cmd = decide.Eval(ctx, client, keys, blob)
	}
	return cmd.Text()
}
