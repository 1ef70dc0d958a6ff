package breakbench

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The chart is a grid of panels: a row for each contender, a column for each
// scenario, all with the same axes.
const (
	panelWidth  = 330
	panelHeight = 92
	panelGapX   = 44
	panelGapY   = 20
	gridLeft    = 190
	gridTop     = 92
	gridBelow   = 48
	chartFrom   = 8 * time.Second
	chartTo     = 32 * time.Second
	highest     = 1.3 // of what is offered on average, at a panel's top
)

// A curve is one thing that a panel shows, of what is offered on average.
type curve struct {
	name, style string
	of          func(point) float64
}

func curves(rate float64) []curve {
	mean := rate * pointsEvery.Seconds()
	return []curve{
		{"offered load", `fill="none" stroke="#999"`, func(p point) float64 { return float64(p.offered) / mean }},
		{"load that reaches the backend", `fill="none" stroke="#1f6fb4" stroke-width="1.6"`, func(p point) float64 { return float64(p.reached) / mean }},
		{"success rate, of what is offered", `fill="none" stroke="#2a9d3c" stroke-width="1.6" stroke-dasharray="5 2"`, func(p point) float64 {
			return float64(p.ok) / float64(max(p.offered, 1))
		}},
	}
}

// writeChart draws the first seed of each.
func writeChart(w io.Writer, all outcomes, scenarios []scenario, makers []guardMaker, rate float64) {
	width := gridLeft + len(scenarios)*(panelWidth+panelGapX)
	bottom := gridTop + len(makers)*(panelHeight+panelGapY)
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" fill="#222">`+"\n",
		width, bottom+gridBelow, width, bottom+gridBelow)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, bottom+gridBelow)
	text(w, width/2, 26, `text-anchor="middle" font-size="17" font-weight="bold"`, fmt.Sprintf("An outage of 10 s at %.0f calls/s, and what comes after it", rate))
	for i, c := range curves(rate) {
		x := gridLeft + i*(panelWidth+panelGapX)
		fmt.Fprintf(w, `<path d="M%d 46h34" %s/>`+"\n", x, c.style)
		text(w, x+42, 50, "", c.name)
	}
	for column, s := range scenarios {
		x := gridLeft + column*(panelWidth+panelGapX)
		text(w, x+panelWidth/2, gridTop-12, `text-anchor="middle" font-weight="bold"`, s.title)
		for row, m := range makers {
			fmt.Fprintf(w, `<g transform="translate(%d %d)">`+"\n", x, gridTop+row*(panelHeight+panelGapY))
			writePanel(w, all[s.name][m.name][0].series, curves(rate), row == len(makers)-1)
			fmt.Fprintln(w, "</g>")
		}
	}
	for row, m := range makers {
		text(w, 12, gridTop+row*(panelHeight+panelGapY)+panelHeight/2, `font-weight="bold"`, m.name)
	}
	fmt.Fprintln(w, "</svg>")
}

func writePanel(w io.Writer, series []point, curves []curve, isLast bool) {
	atX := func(t time.Duration) float64 {
		return float64(t-chartFrom) / float64(chartTo-chartFrom) * panelWidth
	}
	atY := func(share float64) float64 { return panelHeight * (1 - min(share, highest)/highest) }
	fmt.Fprintf(w, `<rect x="%.1f" width="%.1f" height="%d" fill="#fbe3e0"/>`+"\n", atX(outageAt), atX(healedAt)-atX(outageAt), panelHeight)
	for _, share := range []float64{0, 0.5, 1} {
		fmt.Fprintf(w, `<path d="M0 %.1fH%d" stroke="#ddd"/>`+"\n", atY(share), panelWidth)
		text(w, -6, int(atY(share))+4, `text-anchor="end" font-size="10"`, fmt.Sprintf("%.0f %%", 100*share))
	}
	for _, c := range curves {
		var points []string
		for t := chartFrom; t < chartTo && int(t/pointsEvery) < len(series); t += pointsEvery {
			points = append(points, fmt.Sprintf("%.1f,%.1f", atX(t+pointsEvery/2), atY(c.of(series[t/pointsEvery]))))
		}
		fmt.Fprintf(w, `<polyline points="%s" stroke-linejoin="round" %s/>`+"\n", strings.Join(points, " "), c.style)
	}
	fmt.Fprintf(w, `<path d="M0 0V%dH%d" fill="none" stroke="#222"/>`+"\n", panelHeight, panelWidth)
	if !isLast {
		return
	}
	for t := chartFrom; t <= chartTo; t += 4 * time.Second {
		fmt.Fprintf(w, `<path d="M%.1f %dv4" stroke="#222"/>`+"\n", atX(t), panelHeight)
		text(w, int(atX(t)), panelHeight+18, `text-anchor="middle" font-size="11"`, fmt.Sprintf("%.0f s", (t-outageAt).Seconds()))
	}
	text(w, panelWidth/2, panelHeight+36, `text-anchor="middle"`, "since the outage began")
}

func text(w io.Writer, x, y int, attributes, content string) {
	fmt.Fprintf(w, `<text x="%d" y="%d" %s>`, x, y, attributes)
	_ = xml.EscapeText(w, []byte(content)) // fails if w does, and then so will what follows
	fmt.Fprintln(w, "</text>")
}
