package ratelimitredis

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// naive is the script without its tricks: one number a key, any size of it.
type naive struct {
	now  *big.Int
	tats map[string]*big.Int
}

// do decides one call, and returns what was taken before it, whether it was let
// through, and what was leased.
func (m *naive) do(c *call, holders int) (taken *big.Int, ok bool, leased *big.Int) {
	big0 := func(d time.Duration) *big.Int { return big.NewInt(int64(d)) }
	tat := new(big.Int).Set(m.now)
	if old := m.tats[c.key]; old != nil && old.Cmp(tat) > 0 {
		tat.Set(old)
	}
	taken, leased = new(big.Int).Sub(tat, m.now), new(big.Int)
	end := new(big.Int).Add(m.now, big0(c.room))
	switch c.op {
	case opAsk:
		if next := new(big.Int).Add(tat, big0(c.cost)); next.Cmp(end) <= 0 {
			tat, ok = next, true
		}
	case opCharge:
		tat.Add(tat, big0(c.cost))
		if last := new(big.Int).Mul(big.NewInt(9e9), big.NewInt(1e9)); tat.Cmp(last) > 0 {
			tat = last.Add(last, new(big.Int).Mod(tat, big.NewInt(1e9)))
		}
	case opCredit:
		if tat.Sub(tat, big0(c.cost)); tat.Cmp(m.now) < 0 {
			tat.Set(m.now)
		}
	case opLease:
		leased.Sub(end, tat)
		leased.Div(leased, big.NewInt(2))
		part := new(big.Int).Div(big0(c.room), big.NewInt(int64(4*holders)))
		for _, most := range []*big.Int{part.Sub(part, big0(c.held)), big0(c.cost)} {
			if leased.Cmp(most) > 0 {
				leased.Set(most)
			}
		}
		if leased.Cmp(big0(c.least)) < 0 {
			leased.SetInt64(0)
		}
		tat.Add(tat, leased)
	}
	m.tats[c.key] = tat
	return taken, ok, leased
}

// The script's clock is replaced by the test's, and its answers to batches of
// everything compared with what deciding one call after the other comes to.
func TestScriptAgainstNaive(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: StartServer(t).Addr})
	defer client.Close()
	timed := strings.Replace(source, "redis.call('TIME')", "{ ARGV[2], ARGV[3] }", 1)
	if timed == source {
		t.Fatal("the script has no call of TIME")
	}
	script := redis.NewScript(timed)
	ctx := context.Background()
	for round := range uint64(12) {
		if err := client.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(round, 4))
		now := int64(2_000_000_000_000_000) // microseconds
		m := &naive{tats: make(map[string]*big.Int)}
		scale := []int64{3, 1000, 1e6, 1e9, 1e12, 1e15, 3e16}[rnd.IntN(7)] // of an interval, in ns
		lim := &Limiter{id: []string{"", "holder"}[rnd.IntN(2)]}
		ln := &lane{lim: lim, prefix: "p{0}", holders: "p{0}holders"}
		for step := range 150 {
			m.now = new(big.Int).Mul(big.NewInt(now), big.NewInt(1000))
			b := batches.New().(*batch)
			for range 1 + rnd.IntN(8) {
				each := time.Duration(1 + rnd.Int64N(scale))
				c := &call{key: fmt.Sprintf(":%d", rnd.IntN(3)), op: op(rnd.IntN(3)), cost: each * time.Duration(1+rnd.IntN(20)), room: each * 100, done: make(chan struct{}, 1)}
				switch {
				case rnd.IntN(2) == 0: // equal ones in a row
					c.op, c.cost, c.room = opAsk, time.Duration(scale), time.Duration(scale*[]int64{10, 10, 10, 14}[rnd.IntN(4)])
				case c.op == opCharge && rnd.IntN(10) == 0:
					c.cost = maxCost
				case lim.id != "" && rnd.IntN(4) == 0:
					c.op, c.held, c.least = opLease, each*time.Duration(rnd.IntN(30)), each*time.Duration(rnd.IntN(3))
				}
				b.calls = append(b.calls, c)
			}
			b.encode(ln)
			b.reply, b.err = script.Run(ctx, client, b.keys, b.blob, now/1e6, now%1e6).Text()
			if b.err != nil {
				t.Fatalf("round %d step %d: %v", round, step, b.err)
			}
			holders := int(binary.BigEndian.Uint32([]byte(b.reply)))
			all := append([]*call(nil), b.calls...)
			siblings := b.runs()
			if len(b.reply) != headBytes+replyBytes*siblings {
				t.Fatalf("round %d step %d: %d bytes for %d runs", round, step, len(b.reply), siblings)
			}
			b.answer(ln)
			for i, c := range all {
				taken, ok, leased := m.do(c, holders)
				if big.NewInt(int64(c.taken)).Cmp(taken) != 0 || c.ok != ok || big.NewInt(int64(c.leased)).Cmp(leased) != 0 {
					t.Fatalf("round %d step %d call %d of %d: %+v: taken %v, %v, leased %v; want %v, %v, %v",
						round, step, i, len(all), c, int64(c.taken), c.ok, int64(c.leased), taken, ok, leased)
				}
			}
			now += rnd.Int64N(1 + min(1e13, max(1, 20*scale/1000)))
		}
	}
}
