//go:build !race

package tracingotlp_test

const raceEnabled = false
