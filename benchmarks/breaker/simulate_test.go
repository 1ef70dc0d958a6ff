package breakbench

import (
	"testing"
	"time"
)

func scenarioOf(name string) scenario {
	for _, s := range scenarios() {
		if s.name == name {
			return s
		}
	}
	panic(name)
}

func makerOf(name string) guardMaker {
	for _, m := range guardMakers() {
		if m.name == name {
			return m
		}
	}
	panic(name)
}

func TestArrivals(t *testing.T) {
	s := scenarioOf(failing)
	tr := simulate(t, s, makerOf(noBreaker), 200, 1)
	if n := len(tr.calls); n < 9500 || n > 10500 {
		t.Errorf("%d calls in 50 s, want about 10,000", n)
	}
	for i, c := range tr.calls {
		isDead := c.at >= outageAt && c.at < healedAt
		if !c.reached || c.ok == isDead || i > 0 && c.at < tr.calls[i-1].at {
			t.Fatalf("%+v", c)
		}
	}
}

// What the simulation says of ours in an outage holds at any rate, whatever the
// open times that it draws.
func TestOutage(t *testing.T) {
	for _, name := range []string{failing, hanging, cold} {
		s := scenarioOf(name)
		s.length = 35 * time.Second
		o := s.judge(simulate(t, s, makerOf(Ours), 1000, 1))
		o.series = nil
		if o.trip > timeout+100*ms || o.afterShare > 0.01 || o.again != 0 || o.recovered == never || o.openings == 0 {
			t.Errorf("%s: %+v", name, o)
		}
		// A cold cache has it go back and forth, which the report tells of.
		if name != cold && (o.sinceGood > time.Second || o.step > 2) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Each contender's calls are turned away in an outage, and it is told when those
// open that do. So each is set up to be what it is.
func TestContenders(t *testing.T) {
	s := scenarioOf(failing)
	s.length = healedAt
	for _, m := range guardMakers() {
		tr := simulate(t, s, m, 200, 1)
		if got, want := count(tr.calls, isRejected) > 0, m.name != noBreaker; got != want {
			t.Errorf("%s turns away: %v, want %v", m.name, got, want)
		}
		if got := len(tr.opened) > 0; got != m.opens {
			t.Errorf("%s opens: %v, want %v", m.name, got, m.opens)
		}
		if n := count(tr.between(0, outageAt), isOK); n < 1900 {
			t.Errorf("%s: %d calls succeed before", m.name, n)
		}
	}
}

// A breaker each leaves the good replicas alone, whosever it is.
func TestReplicas(t *testing.T) {
	s := scenarioOf(oneBadEach)
	for _, m := range guardMakers() {
		if o := s.judge(simulate(t, s, m, 400, 1)); m.opens && (o.wrong != 0 || o.healthy != 0 || o.openings == 0) {
			t.Errorf("%s: %d openings, %d wrong, %d calls to good replicas turned away", m.name, o.openings, o.wrong, o.healthy)
		}
	}
}

func TestSlowCalls(t *testing.T) {
	s := scenarioOf(brownSlow)
	if o := s.judge(simulate(t, s, makerOf(Ours), 200, 1)); o.openings == 0 {
		t.Error("half of the window was slow, and ours did not open")
	}
	s = scenarioOf(brownout)
	if o := s.judge(simulate(t, s, makerOf(Ours), 200, 1)); o.rejected != 0 {
		t.Errorf("%d calls turned away for being slow", o.rejected)
	}
}

// With each seed an outage has another length, about 10 s, and ends at its time.
func TestSeedsBegin(t *testing.T) {
	for _, s := range scenarios() {
		lengths := map[time.Duration]bool{}
		for seed := uint64(1); seed <= 5; seed++ {
			one := s.with(seed)
			from, to := one.begins(), healedAt
			if s.health(healedAt-1, 0) == (health{}) {
				from, to = outageAt, outageAt+brownFor
			}
			lengths[to-from] = true
			if from < outageAt-time.Second/2 || from > outageAt+time.Second/2 {
				t.Errorf("%s begins at %v", s.name, from)
			}
			if well := (health{}); one.health(from-1, 0) != well || one.health(from, 0) == well || one.health(to-1, 0) == well ||
				s.name != cold && one.health(to, 0) != well {
				t.Errorf("%s with seed %d is not bad from %v to %v", s.name, seed, from, to)
			}
		}
		if len(lengths) != 5 && !lengths[brownFor] {
			t.Errorf("%s: lengths %v", s.name, lengths)
		}
	}
	if s := scenarioOf(failing).with(1); s.shift != 0 {
		t.Errorf("the picture's outage begins at %v", s.begins())
	}
}

// Throttlers are set up so that they come back: by what their own middleware does,
// and by the window that the others have.
func TestThrottlersReturn(t *testing.T) {
	s := scenarioOf(failing)
	for name, within := range map[string][2]time.Duration{throttlerName: {3 * time.Second, 9 * time.Second}, aegisName: {15 * time.Second, never}} {
		o := s.judge(simulate(t, s, makerOf(name), 500, 1))
		if o.recovered < within[0] || o.recovered > within[1] {
			t.Errorf("%s: 95 %% after %v, want from %v to %v", name, o.recovered, within[0], within[1])
		}
	}
}
