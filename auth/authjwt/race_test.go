//go:build race

package authjwt

const raceEnabled = true
