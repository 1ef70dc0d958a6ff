package obsbench

import (
	"math"
	"strconv"
	"strings"
)

// number prints three significant digits, more only of whole numbers, and no
// more zeros than it needs.
func number(v float64) string { return significant(v, 3) }

// beside prints v like number, but with as many digits as tell it from the
// bound: what reads like the bound is the bound, and meets it.
func beside(v, bound float64) string {
	for digits := 3; digits <= 17 && v != bound; digits++ {
		if text := significant(v, digits); text != significant(bound, digits) {
			return text
		}
	}
	return number(v)
}

func significant(v float64, digits int) string {
	unit := ""
	switch size := math.Abs(v); {
	case size >= 999_500: // it would be rounded to 1000k
		v, unit = v/1e6, "M"
	case size >= 9_999.5:
		v, unit = v/1e3, "k"
	}
	decimals := 0
	if v != 0 {
		decimals = max(0, digits-1-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + unit
}
