//go:build race

package main

// raceEnabled tells whether the tests have the race detector.
const raceEnabled = true
