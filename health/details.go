package health

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// healthJSON is the media type of draft-inadarei-api-health-check-06.
const healthJSON = "application/health+json"

// maxReason is how many bytes of a check's error an answer has.
const maxReason = 512

// draft is the state in the words of that draft.
func (s State) draft() string {
	switch s {
	case StateHealthy:
		return "pass"
	case StateDegraded:
		return "warn"
	}
	return "fail"
}

// wantsDraft reports whether the values of Accept name the draft's media type.
func wantsDraft(accept []string) bool {
	for _, value := range accept {
		for part := range strings.SplitSeq(value, ",") {
			media, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(media), healthJSON) {
				return !refused(params)
			}
		}
	}
	return false
}

// refused reports whether the parameters of a media range have a weight of 0.
func refused(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, weight, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			return weight != "" && strings.Trim(weight, "0.") == ""
		}
	}
	return false
}

// details answers who may see them: with all checks if the request asks for
// that, and without those in ?exclude=.
func (h *handler) details(r *http.Request, draft bool) *answer {
	query := r.URL.Query()
	excluded := make(map[string]bool)
	for _, name := range query["exclude"] {
		excluded[name] = false // not found yet
	}
	rep := h.health.report(h.probe, excluded)
	switch {
	case draft:
		return newAnswer(rep.state.code(), healthJSON, rep.json())
	case query.Has("verbose"):
		return newAnswer(rep.state.code(), "text/plain; charset=utf-8", rep.text(h.probe, excluded))
	}
	return h.answers[rep.state.index()]
}

// report is what one question is answered with, in full.
type report struct {
	state State
	other map[string]error // what fails that is no check
	lines []line
}

// line is a check of a report.
type line struct {
	CheckStats
	excluded bool
}

// reason is why the check fails, without its name.
func (l line) reason() string { return oneLine(strings.TrimPrefix(l.Error, "check "+l.Name+": ")) }

// report decides p without the checks that are excluded, which it marks as found.
// What Fatal and Drain said cannot be excluded.
func (h *Health) report(p probe, excluded map[string]bool) report {
	snapshot := h.current.Load()
	rep := report{state: StateHealthy, other: make(map[string]error)}
	if p != startupz && snapshot.live != nil {
		rep.other["fatal"] = snapshot.live
	}
	if p == readyz && snapshot.draining {
		rep.other["shutdown"] = ErrDraining
	}
	failing := make(map[Kind]bool)
	for _, c := range h.stats(snapshot, h.now()).Checks {
		if !p.asks(c.Kind) {
			continue
		}
		_, skip := excluded[c.Name]
		if skip {
			excluded[c.Name] = true
		} else if !c.OK {
			failing[c.Kind] = true
		}
		rep.lines = append(rep.lines, line{c, skip})
	}
	switch {
	case rep.other["fatal"] != nil:
		rep.state = StateUnhealthy
	case rep.other["shutdown"] != nil:
		rep.state = StateDraining
	case failing[KindStartup]:
		rep.state = StateStarting
	case failing[KindReadiness]:
		rep.state = StateUnhealthy
	case failing[KindDependency]:
		rep.state = StateDegraded
	}
	return rep
}

// asks reports whether checks of a kind have a say in the answer.
func (p probe) asks(k Kind) bool {
	switch k {
	case KindStartup:
		return p != livez
	case KindLiveness:
		return p == livez
	}
	return p == readyz
}

// text is the report in the form of Kubernetes' API server, with the reasons.
func (rep report) text(p probe, excluded map[string]bool) string {
	var b strings.Builder
	for _, l := range rep.lines {
		switch {
		case l.excluded:
			fmt.Fprintf(&b, "[+]%s excluded: ok\n", l.Name)
		case l.OK:
			fmt.Fprintf(&b, "[+]%s ok\n", l.Name)
		case l.Kind == KindDependency:
			fmt.Fprintf(&b, "[-]%s degraded: %s\n", l.Name, l.reason())
		default:
			fmt.Fprintf(&b, "[-]%s failed: %s\n", l.Name, l.reason())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rep.other)) {
		fmt.Fprintf(&b, "[-]%s failed: %s\n", name, oneLine(rep.other[name].Error()))
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(excluded)) {
		if !excluded[name] {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&b, "warn: some health checks cannot be excluded: no matches for %s\n", strings.Join(unknown, ", "))
	}
	switch rep.state {
	case StateHealthy:
		fmt.Fprintf(&b, "%s check passed\n", p)
	case StateDegraded:
		fmt.Fprintf(&b, "%s check passed, degraded\n", p)
	default:
		fmt.Fprintf(&b, "%s check failed\n", p)
	}
	return b.String()
}

// draftReport is the draft's object; its names are the draft's.
type draftReport struct {
	Status string                  `json:"status"`
	Output string                  `json:"output,omitempty"`
	Checks map[string][]draftCheck `json:"checks,omitempty"`
}

type draftCheck struct {
	ComponentType string   `json:"componentType"`
	Status        string   `json:"status"`
	ObservedValue *float64 `json:"observedValue,omitempty"` // how long the last run took
	ObservedUnit  string   `json:"observedUnit,omitempty"`
	Time          string   `json:"time,omitempty"`
	Output        string   `json:"output,omitempty"` // the draft: not with pass
}

// json is the report in the form of the draft.
func (rep report) json() string {
	d := draftReport{Status: rep.state.draft(), Checks: make(map[string][]draftCheck)}
	var why []string
	for _, name := range slices.Sorted(maps.Keys(rep.other)) {
		why = append(why, oneLine(rep.other[name].Error()))
	}
	d.Output = strings.Join(why, "; ")
	for _, l := range rep.lines {
		if l.excluded {
			continue
		}
		c := draftCheck{ComponentType: string(l.Kind), Status: "pass"}
		if !l.OK {
			c.Status, c.Output = "fail", l.reason()
			if l.Kind == KindDependency {
				c.Status = "warn"
			}
		}
		if l.Runs > 0 {
			ms := float64(l.Took) / float64(time.Millisecond)
			c.ObservedValue, c.ObservedUnit = &ms, "ms"
			c.Time = l.Ended.UTC().Format(time.RFC3339)
		}
		d.Checks[l.Name] = []draftCheck{c}
	}
	body, err := json.Marshal(d)
	if err != nil { // there is nothing in it that cannot be written
		panic(err)
	}
	return string(body)
}

// oneLine keeps a check's text from writing lines of its own, and from flooding.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), 2*maxReason)], "\uFFFD"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
