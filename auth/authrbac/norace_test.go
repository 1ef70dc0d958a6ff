//go:build !race

package authrbac

const raceEnabled = false
