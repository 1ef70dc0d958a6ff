package ratelimitredis

import "time"

// Skew moves the clock of l's process by d.
func (l *Limiter) Skew(d time.Duration) { l.base = l.base.Add(-d) }

// KeyInRedis is the key under which l keeps a key's state.
func (l *Limiter) KeyInRedis(key string) string { return l.laneOf(key).prefix + canonical(key) }

const (
	LeaseTime  = leaseTime
	MaxFlights = maxFlights
)
