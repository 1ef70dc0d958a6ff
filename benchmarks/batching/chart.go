package batchbench

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The chart is a grid of panels, one for each traffic, with a legend below.
const (
	chartColumns = 3
	panelWidth   = 300
	panelHeight  = 190
	panelLeft    = 70 // of the panel: labels of the axis
	panelTop     = 34 // its title
	panelGapX    = 18
	panelGapY    = 72 // labels of the axis below
	legendRow    = 24
	chartTop     = 44
	highest      = 1.25 // goodput over capacity at the top of a panel
)

// writeChart draws goodput over offered load, both of the device's capacity,
// a line for each library.
func writeChart(w io.Writer, all []*traffic, libs []string, loads []float64) {
	rows := (len(all) + chartColumns - 1) / chartColumns
	width := chartColumns*(panelLeft+panelWidth+panelGapX) + panelGapX
	legendTop := chartTop + rows*(panelTop+panelHeight+panelGapY)
	height := legendTop + (len(libs)+4)/4*legendRow + 12
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#222">`+"\n",
		width, height, width, height)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(w, width/2, 28, `text-anchor="middle" font-size="18" font-weight="bold"`,
		"Goodput over offered load: answers inside their deadline, of capacity")
	for i, t := range all {
		x := panelGapX + i%chartColumns*(panelLeft+panelWidth+panelGapX)
		y := chartTop + i/chartColumns*(panelTop+panelHeight+panelGapY)
		fmt.Fprintf(w, `<g transform="translate(%d %d)">`+"\n", x+panelLeft, y+panelTop)
		writePanel(w, t, libs, loads)
		fmt.Fprintln(w, "</g>")
	}
	writeLegend(w, libs, width, legendTop)
	fmt.Fprintln(w, "</svg>")
}

func writePanel(w io.Writer, t *traffic, libs []string, loads []float64) {
	last := loads[len(loads)-1]
	atX := func(load float64) float64 { return load / last * panelWidth }
	atY := func(share float64) float64 { return panelHeight * (1 - share/highest) }
	text(w, panelWidth/2, -12, `text-anchor="middle" font-weight="bold"`, t.String())
	for percent := 0; percent <= 125; percent += 25 {
		y := atY(float64(percent) / 100)
		fmt.Fprintf(w, `<path d="M0 %.1fH%d" stroke="#ddd"/>`+"\n", y, panelWidth)
		text(w, -8, int(y)+4, `text-anchor="end"`, fmt.Sprintf("%d %%", percent))
	}
	for _, load := range loads {
		fmt.Fprintf(w, `<path d="M%.1f %dv5" stroke="#222"/>`+"\n", atX(load), panelHeight)
		text(w, int(atX(load)), panelHeight+20, `text-anchor="middle"`, number(load)+"×")
	}
	fmt.Fprintf(w, `<path d="M0 0V%dH%d" fill="none" stroke="#222"/>`+"\n", panelHeight, panelWidth)
	text(w, panelWidth/2, panelHeight+38, `text-anchor="middle"`, "offered load, of capacity")
	text(w, 0, 0, fmt.Sprintf(`text-anchor="middle" transform="translate(%d %d) rotate(-90)"`, 10-panelLeft, panelHeight/2), "goodput, of capacity")
	// The best that is possible without choosing cheap items.
	fmt.Fprintf(w, `<path d="M0 %.1fL%.1f %.1fH%d" fill="none" stroke="#aaa" stroke-dasharray="2 3"/>`+"\n",
		atY(0), atX(min(1, last)), atY(min(1, last)), panelWidth)
	for i := len(libs) - 1; i >= 0; i-- { // ours on top
		var points []string
		for j, load := range loads {
			points = append(points, fmt.Sprintf("%.1f,%.1f", atX(load), atY(min(t.at(libs[i], j).goodput/t.capacity, highest))))
		}
		fmt.Fprintf(w, `<polyline points="%s" fill="none" stroke-linejoin="round" %s/>`+"\n", strings.Join(points, " "), stroke(libs, i))
	}
}

// writeLegend names the lines, four in a row.
func writeLegend(w io.Writer, libs []string, width, top int) {
	for i := range len(libs) + 1 {
		x, y := panelLeft+i%4*(width-panelLeft)/4, top+i/4*legendRow
		style, name := `stroke="#aaa" stroke-dasharray="2 3"`, "all of the load, up to capacity"
		if i < len(libs) {
			style, name = stroke(libs, i), libs[i]
		}
		fmt.Fprintf(w, `<path d="M%d %dh36" %s/>`+"\n", x, y, style)
		text(w, x+44, y+4, "", name)
	}
}

func text(w io.Writer, x, y int, attributes, content string) {
	fmt.Fprintf(w, `<text x="%d" y="%d" %s>`, x, y, attributes)
	_ = xml.EscapeText(w, []byte(content)) // fails if w does, and then so will what follows
	fmt.Fprintln(w, "</text>")
}
