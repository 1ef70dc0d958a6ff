package breakbench

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// evenly are calls that come evenly between two times.
func evenly(from, to, every time.Duration, c call) (all []call) {
	for ; from < to; from += every {
		c.at = from
		all = append(all, c)
	}
	return all
}

// An outage from 10 s to 20 s: it trips after 100 ms, ten calls probe in vain,
// and 2 s after the heal everything is let through at once.
func made() trace {
	good, bad, denied := call{reached: true, ok: true, took: 20 * ms}, call{reached: true, took: 5 * ms}, call{}
	tr := trace{calls: evenly(0, 10*time.Second, ms, good), opened: []opening{{10*time.Second + 100*ms, 0}, {11 * time.Second, 0}}}
	tr.calls = append(tr.calls, evenly(10*time.Second, 10*time.Second+100*ms, ms, bad)...)
	for i := range 10 {
		from := 10*time.Second + 100*ms + time.Duration(i)*time.Second
		tr.calls = append(tr.calls, evenly(from, from+time.Second-ms, ms, denied)...)
		bad.at = from + time.Second - ms
		tr.calls = append(tr.calls, bad)
	}
	tr.calls = append(tr.calls, evenly(20*time.Second+100*ms, 22*time.Second, ms, denied)...)
	tr.calls = append(tr.calls, evenly(22*time.Second, 50*time.Second, ms, good)...)
	return tr
}

func TestJudge(t *testing.T) {
	o := scenarios()[0].judge(made())
	if o.trip != 100*ms || o.afterTrip != 9 || o.openings != 2 {
		t.Errorf("trip after %v, %d probes, %d openings", o.trip, o.afterTrip, o.openings)
	}
	if want := 9.0 / 9900; o.afterShare != want {
		t.Errorf("%v of the calls, want %v", o.afterShare, want)
	}
	if o.good != 2*time.Second+20*ms || o.recovered != 2*time.Second || o.sinceGood != 0 {
		t.Errorf("good after %v, 95 %% after %v, %v since", o.good, o.recovered, o.sinceGood)
	}
	if o.lost < 1990*ms || o.lost > 2010*ms || o.again != 0 {
		t.Errorf("lost %v, %d second trips", o.lost, o.again)
	}
	if got := o.series[105]; got != (point{200, 0, 0}) && got != (point{200, 1, 0}) {
		t.Errorf("at 21 s: %+v", got)
	}
}

func TestJudgeNothingWrong(t *testing.T) {
	o := scenarios()[0].judge(trace{calls: evenly(0, 50*time.Second, ms, call{reached: true, ok: true, took: 20 * ms})})
	if o.trip != never || o.afterShare != 0 || o.rejected+o.failed+o.openings != 0 || o.good != 20*ms || o.recovered != 0 || o.lost != 0 {
		t.Errorf("%+v", o)
	}
	if o.step > 1 {
		t.Errorf("a step of %v", o.step)
	}
}

func TestJudgeNeverBack(t *testing.T) {
	tr := made()
	for i := range tr.calls {
		if tr.calls[i].at >= healedAt && i%10 == 0 {
			tr.calls[i].reached, tr.calls[i].ok = false, false
		}
	}
	if o := scenarios()[0].judge(tr); o.recovered != never || o.sinceGood != never {
		t.Errorf("95 %% after %v", o.recovered)
	}
}

// Of a breaker each, openings of those for good replicas are wrong.
func TestJudgeReplicas(t *testing.T) {
	calls := evenly(0, 30*time.Second, ms, call{replica: 1, reached: true, ok: true})
	calls[15000].reached, calls[15001].reached, calls[15001].replica = false, false, 0
	all := scenarios()
	o := all[len(all)-1].judge(trace{calls, []opening{{11 * time.Second, 0}, {12 * time.Second, 3}}})
	if o.healthy != 1 || o.rejected != 2 || o.wrong != 1 {
		t.Errorf("%d of %d calls turned away, %d openings: want 1 of 2, and 1", o.healthy, o.rejected, o.wrong)
	}
}

// ramp lets a share of 1 ms each through that is multiplied each p95.
func ramp(by float64) trace {
	tr, owed := trace{}, 0.0
	load := 0.05
	for at, next := time.Duration(0), p95Of(service); at < time.Second; at += ms / 10 {
		if at >= next {
			load, next = min(1, load*by), next+p95Of(service)
		}
		owed += load
		c := call{at: at, took: service, reached: owed >= 1, ok: owed >= 1}
		if c.reached {
			owed--
		}
		tr.calls = append(tr.calls, c)
	}
	return tr
}

func TestStep(t *testing.T) {
	for by, want := range map[float64][2]float64{2: {1.5, 2}, 4: {3, 4}, 20: {8, 20}} {
		if got := ramp(by).step(0, time.Second, calmP95); got < want[0] || got > want[1] {
			t.Errorf("×%v each: largest step %v, want %v", by, got, want)
		}
	}
}

func TestWarmth(t *testing.T) {
	for since, want := range map[time.Duration]float64{-time.Second: 0.1, 0: 0.1, warmFor / 2: 0.55, warmFor: 1, time.Hour: 1} {
		if got := warmth(since); got != want {
			t.Errorf("after %v: %v, want %v", since, got, want)
		}
	}
	s := scenario{name: cold}
	if got := warmth(s.able()) * headroom; got < 0.949 || got > 0.951 {
		t.Errorf("when it should bear 95 %%, it bears %v", got)
	}
}
