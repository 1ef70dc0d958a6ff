package retrybench

import (
	"fmt"
	"io"
)

// A fact is what a library did when it was put to the test. It is counted, not
// timed, and the same on any machine.
type fact struct {
	About string
	Who   string
	Saw   string
	Right bool
}

// A try puts libraries to one test.
type try func() ([]fact, error)

// allTries are those that libraries differ in; calls is how many an outage
// lasts.
func allTries(calls int) []try {
	l := load{calls: calls}
	return append(append([]try{l.outage, l.hiccups, deadlineFacts, nestedFacts}, httpTries()...), l.slowCalls, l.brownout)
}

func writeFacts(w io.Writer, all []fact) {
	about := ""
	for _, f := range all {
		if f.About != about {
			about = f.About
			fmt.Fprintf(w, "\n**%s**\n\n| | what happened | right |\n|---|---|---|\n", about)
		}
		right := "**no**"
		if f.Right {
			right = "yes"
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.Who, f.Saw, right)
	}
}
