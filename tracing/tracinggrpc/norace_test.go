//go:build !race

package tracinggrpc_test

const raceEnabled = false
