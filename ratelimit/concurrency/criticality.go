package concurrency

import "context"

// Criticality says how bad it is to turn a call away, in the four classes of
// the SRE book ("Handling Overload"). Under overload the lower ones go first.
// A greater value is more important; the zero value is Critical.
type Criticality int8

const (
	// Sheddable may be refused for hours: batch jobs that will come again.
	Sheddable Criticality = iota - 2
	// SheddablePlus may be refused for minutes: work in the background.
	SheddablePlus
	// Critical is what users wait for, and what a call without a class is.
	Critical
	// CriticalPlus is what is the worst to lose. Use it sparingly.
	CriticalPlus
)

const classes = 4

// rank is c's place among the classes, 0 for the most important. What lies
// outside of the four counts as the nearest.
func (c Criticality) rank() int { return int(CriticalPlus - min(max(c, Sheddable), CriticalPlus)) }

// String returns the name that [ParseCriticality] reads: "critical-plus",
// "critical", "sheddable-plus" or "sheddable".
func (c Criticality) String() string {
	return [classes]string{"critical-plus", "critical", "sheddable-plus", "sheddable"}[c.rank()]
}

// ParseCriticality reads what [Criticality.String] writes, nothing else.
func ParseCriticality(name string) (c Criticality, ok bool) {
	for c := Sheddable; c <= CriticalPlus; c++ {
		if name == c.String() {
			return c, true
		}
	}
	return Critical, false
}

type criticalityKey struct{}

// ContextWithCriticality returns a context whose calls have the class c.
func ContextWithCriticality(ctx context.Context, c Criticality) context.Context {
	return context.WithValue(ctx, criticalityKey{}, c)
}

// CriticalityFromContext returns the class of ctx's calls: Critical if nobody
// said anything else.
func CriticalityFromContext(ctx context.Context) Criticality {
	c, _ := ctx.Value(criticalityKey{}).(Criticality)
	return c
}
