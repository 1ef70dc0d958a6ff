package retrybench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"testing/synctest"
)

// Facts are about waiting, some of it for a day: they are tried in bubbles of
// testing/synctest, whose time passes as soon as everybody waits. A bubble needs
// a *testing.T, which only the testing package makes; the report therefore has
// another process of its own program be a test binary of one test.

// factsVariable tells that process what it is for: how many calls an outage
// lasts.
const factsVariable = "RETRYBENCH_FACTS_CALLS"

// Helper is for main and TestMain: it does what this process was started for by
// another of the same program and does not return then.
func Helper(out io.Writer) {
	text, ok := os.LookupEnv(factsVariable)
	if !ok {
		return
	}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "facts", F: func(t *testing.T) { tell(t, text, out) }}}, nil, nil)
}

// tell writes the facts, or fails.
func tell(t *testing.T, calls string, out io.Writer) {
	n, err := strconv.Atoi(calls)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := virtual(t, allTries(n))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(out).Encode(facts); err != nil {
		t.Fatal(err)
	}
}

// virtual makes each try in a bubble of its own.
func virtual(t *testing.T, tries []try) (all []fact, err error) {
	for _, try := range tries {
		var some []fact
		synctest.Test(t, func(*testing.T) { some, err = try() })
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// facts has another process try everything.
func facts(calls int) ([]fact, error) {
	out, err := process(strconv.Itoa(calls))
	if err != nil {
		return nil, err
	}
	return decode(out)
}

// process starts it, and returns all that it prints.
func process(calls string) ([]byte, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), factsVariable+"="+calls)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("the facts' process: %w\n%s", err, out)
	}
	return out, nil
}

// decode reads the facts, after which comes what a test binary says.
func decode(out []byte) (all []fact, err error) {
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&all); err != nil {
		return nil, fmt.Errorf("the facts' process: %w: %s", err, out)
	}
	return all, nil
}
