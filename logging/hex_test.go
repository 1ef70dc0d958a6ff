package logging

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func TestAppendHex(t *testing.T) {
	ids := [][]byte{nil, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, {0x9a, 0xa9, 0x90, 0x09}}
	for range 1000 {
		id := make([]byte, 16)
		for i := range id {
			id[i] = byte(rand.Uint32())
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if got, want := string(appendHex([]byte("x"), id)), "x"+hex.EncodeToString(id); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
