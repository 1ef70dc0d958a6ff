package logging

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// limit cuts what a client chose to n bytes at most, at a rune's start.
func limit(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

const hexDigits = "0123456789abcdef"

// appendText appends s as the inside of a JSON string. What could end a line,
// steer a terminal or turn text around is escaped, so that a reader of JSON gets
// s back, and bytes that are not UTF-8 become U+FFFD, as in encoding/json.
func appendText(dst []byte, s string) []byte {
	if plainText(s) {
		return append(dst, s...)
	}
	start := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) && plain8(eight(s[i:])) {
			i += 8
			continue
		}
		c := s[i]
		if c < utf8.RuneSelf {
			if plain(c) {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscaped(dst, rune(c))
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && n == 1) || unsafeRune(r) {
			dst = append(dst, s[start:i]...)
			dst = appendEscaped(dst, r)
			start = i + n
		}
		i += n
	}
	return append(dst, s[start:]...)
}

// plainText is plain for all of s, eight bytes at a time, of which the last may
// have been looked at before.
func plainText(s string) bool {
	n := len(s)
	if n >= 8 {
		for i := 8; i < n; i += 8 {
			if !plain8(eight(s[i-8:])) {
				return false
			}
		}
		return plain8(eight(s[n-8:]))
	}
	if n >= 4 {
		return plain8(four(s) | four(s[n-4:])<<32)
	}
	for i := range n {
		if !plain(s[i]) {
			return false
		}
	}
	return true
}

func eight(s string) uint64 { return four(s) | four(s[4:])<<32 }

func four(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// plain reports whether c stands for itself in a JSON string, and on a line.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// plain8 is plain for all eight bytes of v. A byte's high bit is set in has if it
// is not ASCII, or below the space, or zero after the exclusive or. (Borrows reach
// higher bytes only after a hit.)
func plain8(v uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := v^ones*'"', v^ones*'\\'
	has := v | (v - ones*' ') | (v + ones) | (quote - ones) | (slash - ones)
	return has&highs == 0
}

func appendEscaped(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// unsafeRune reports whether r ends a line or is obeyed by a terminal (C0, DEL,
// C1 and the separators U+2028 and U+2029), or changes the direction of what
// follows (Trojan Source, CVE-2021-42574). All are below U+10000.
func unsafeRune(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f, r == 0x061c, r == 0xfeff:
		return true
	case r < 0x200e:
		return false
	}
	return r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}

// appendLine appends s as it is, but for what appendText escapes; quotes and
// backslashes stay. It is for the parts of a console line.
func appendLine(dst []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"), unsafeRune(r):
			dst = appendEscaped(dst, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendFloat appends f as encoding/json does, but for what JSON has no number
// for: that becomes a string.
func appendFloat(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case abs < 1e12:
		// Three decimals are the usual case, and the shortest text of a number
		// that they give exactly: one with 15 digits has no other that short.
		if n := int64(math.RoundToEven(f * 1000)); float64(n)/1000 == f && (n != 0 || !math.Signbit(f)) {
			if n < 0 {
				dst = append(dst, '-')
			}
			return appendDecimal(dst, uint64(max(n, -n)), 3)
		}
		if abs >= 1e-6 || abs == 0 {
			return strconv.AppendFloat(dst, f, 'f', -1, 64)
		}
	case abs < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	case f != f:
		return append(dst, `"NaN"`...)
	case f > math.MaxFloat64:
		return append(dst, `"+Inf"`...)
	case f < -math.MaxFloat64:
		return append(dst, `"-Inf"`...)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && string(dst[n-4:n-1]) == "e-0" { // e-09 is e-9, as in JavaScript
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// appendDecimal appends n ÷ 10^digits exactly, without trailing zeros.
func appendDecimal(dst []byte, n uint64, digits int) []byte {
	unit := uint64(1)
	for range digits {
		unit *= 10
	}
	dst = strconv.AppendUint(dst, n/unit, 10)
	if rest := n % unit; rest != 0 {
		dst = appendFraction(dst, rest, digits)
	}
	return dst
}

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

func appendPair(dst []byte, n uint64) []byte { return append(dst, pairs[2*n], pairs[2*n+1]) }

// appendFraction appends "." and rest, which is not 0, with leading zeros to
// make the digits and no trailing ones.
func appendFraction(dst []byte, rest uint64, digits int) []byte {
	dst = append(dst, ".000000000"[:digits+1]...)
	i := len(dst)
	for n := digits; n >= 2; n -= 2 {
		i -= 2
		pair := rest % 100
		rest /= 100
		dst[i], dst[i+1] = pairs[2*pair], pairs[2*pair+1]
	}
	if digits%2 == 1 {
		dst[i-1] = byte('0' + rest)
	}
	n := len(dst)
	for dst[n-1] == '0' {
		n--
	}
	return dst[:n]
}

// appendDuration appends d in units of 10^digits nanoseconds.
func appendDuration(dst []byte, d time.Duration, digits int) []byte {
	n := uint64(d)
	if d < 0 {
		dst = append(dst, '-')
		n = -n
	}
	return appendDecimal(dst, n, digits)
}

// appendTime appends t as RFC 3339 in UTC, with as many decimals as it has. It
// does so without time.Time's calendar, which costs twice as much.
func appendTime(dst []byte, t time.Time) []byte {
	sec := t.Unix()
	const year0, year10000 = -62167219200, 253402300800
	if sec < year0 || sec >= year10000 {
		return t.UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	// Days since 0000-03-01, so that the leap day is a year's last: Hinnant,
	// "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
	z := uint64(sec-year0)/86400 + 146097 - 60 // one era of 400 years more, lest January of year 0 be below 0
	clock := uint64(sec-year0) % 86400
	era, doe := z/146097, z%146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day := doy - (153*mp+2)/5 + 1
	month, year := mp+3, era*400+yoe
	if month > 12 {
		month -= 12
		year++
	}
	year -= 400
	dst = appendPair(appendPair(dst, year/100), year%100)
	dst = appendPair(append(dst, '-'), month)
	dst = appendPair(append(dst, '-'), day)
	dst = appendPair(append(dst, 'T'), clock/3600)
	dst = appendPair(append(dst, ':'), clock/60%60)
	dst = appendPair(append(dst, ':'), clock%60)
	if nano := t.Nanosecond(); nano != 0 {
		dst = appendFraction(dst, uint64(nano), 9)
	}
	return append(dst, 'Z')
}

// appendHex appends ids, whose lengths are multiples of four.
func appendHex(dst []byte, id []byte) []byte {
	for ; len(id) >= 4; id = id[4:] {
		dst = binary.BigEndian.AppendUint64(dst, hex8(binary.BigEndian.Uint32(id)))
	}
	return dst
}

// hex8 returns v's eight digits, the highest in the highest byte: each half of it
// is spread over twice the room, until there is one digit in each byte.
func hex8(v uint32) uint64 {
	const ones = 0x0101010101010101
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	letters := (x + 6*ones) >> 4 & ones
	return x + '0'*ones + ('a'-'0'-10)*letters
}

// appendCut is appendText of at most n bytes of s.
func appendCut(dst []byte, s string, n int) []byte {
	kept := limit(s, n)
	return appendMissing(appendText(dst, kept), len(s)-len(kept))
}

// appendMissing says that a text lacks n bytes of the whole.
func appendMissing(dst []byte, n int) []byte {
	if n == 0 {
		return dst
	}
	dst = append(dst, "…[+"...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, " bytes]"...)
}
