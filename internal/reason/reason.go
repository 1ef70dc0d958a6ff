// Package reason is how package problem, which answers, finds package reqstate's
// State, which only looks, without either knowing the other.
package reason

// Key is the context key of who wants to know why a request is turned away: its
// value has SetReason(string).
type Key struct{}
