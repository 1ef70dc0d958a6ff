//go:build race

package authkubernetes_test

const raceEnabled = true
