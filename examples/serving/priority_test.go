package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestLevelOf(t *testing.T) {
	for value, want := range map[string]int{
		"": interactive, "u=0": interactive, "u=3": interactive, "u=4": interactive, "i": interactive,
		"u=5": background, "u=6, i": background, "i, u=7": background, "u=8": interactive, "U=7": interactive,
	} {
		h := http.Header{"Priority": {value}}
		if got := levelOf(h); got != want {
			t.Errorf("%q is at level %d", value, got)
		}
	}
	if levelOf(nil) != interactive {
		t.Error("a request that says nothing is background")
	}
}

// priorities are fields with their urgency; of those that are wrong, 3.
var priorities = []struct {
	fields []string
	want   int
}{
	{nil, 3}, {[]string{""}, 3}, {[]string{"  "}, 3},
	{[]string{"u=0"}, 0}, {[]string{"u=7"}, 7}, {[]string{"u=007"}, 7}, {[]string{"u=-0"}, 0},
	{[]string{" \tu=5 \t"}, 5}, {[]string{"i,u=5"}, 5}, {[]string{"i=?0\t,\t u=5 , x"}, 5},
	{[]string{"u=5", "i"}, 5}, {[]string{"i", "u=6"}, 6}, {[]string{"u=6", "u=1"}, 1},
	{[]string{"u=5;why=slow;x; y=1.5"}, 5}, {[]string{`x=("u=1" a;b=:aGk=:  ?1 );c, u=6`}, 6}, {[]string{"x=(), u=6"}, 6},
	{[]string{`x="\"\\, u=1", u=6`}, 6}, {[]string{`x="u=7"`}, 3}, {[]string{"*k-_.*=*a/b:c, u=6"}, 6},
	{[]string{`x=@-1659578233, y=%"f%c3%bc", u=6`}, 6}, {[]string{"x=-123456789012.123, u=6"}, 6},

	// Another type or range counts as nothing, also behind a good one.
	{[]string{"u"}, 3}, {[]string{"u=8"}, 3}, {[]string{"u=-1"}, 3}, {[]string{"u=5.0"}, 3}, {[]string{`u="5"`}, 3},
	{[]string{"u=five"}, 3}, {[]string{"u=?1"}, 3}, {[]string{"u=(5)"}, 3}, {[]string{"u=@5"}, 3}, {[]string{"u=7, u=8"}, 3},
	{[]string{"u=999999999999999"}, 3},

	// Wrong syntax anywhere spoils it all.
	{[]string{"u=7,"}, 3}, {[]string{",u=7"}, 3}, {[]string{"u=7,,i"}, 3}, {[]string{"u=7", "", "i"}, 3}, {[]string{"u= 7"}, 3},
	{[]string{"u =7"}, 3}, {[]string{"u=+7"}, 3}, {[]string{"u=7 i"}, 3}, {[]string{"u=7;"}, 3}, {[]string{"u=7 ;x"}, 3},
	{[]string{"u=7, X"}, 3}, {[]string{"u=7, x=\"é\""}, 3}, {[]string{`u=7, x="a`}, 3}, {[]string{"u=7, x=(1"}, 3}, {[]string{"u=7, x=((1))"}, 3},
	{[]string{"u=7, x=1234567890123456"}, 3}, {[]string{"u=7, x=1."}, 3}, {[]string{"u=7, x=1.2345"}, 3}, {[]string{"u=7, x=@1.5"}, 3},
	{[]string{"u=7, x=?2"}, 3}, {[]string{`u=7, x="\n"`}, 3}, {[]string{`u=7, x=%"%C3"`}, 3}, {[]string{"u=7, x=:~:"}, 3}, {[]string{"u=7, x=(1,2)"}, 3},
	{[]string{"u=7\n"}, 3}, {[]string{"u=7, x=\x00"}, 3}, {[]string{"7"}, 3}, {[]string{"=7"}, 3},

	{[]string{"u=7, " + strings.Repeat("x", maxPriority-5)}, 7}, {[]string{"u=7, " + strings.Repeat("x", maxPriority-4)}, 3},
}

func TestUrgency(t *testing.T) {
	for _, tt := range priorities {
		if got := urgency(tt.fields); got != tt.want {
			t.Errorf("%.60q: %d, want %d", tt.fields, got, tt.want)
		}
		if got := urgencyByTheBook(tt.fields); got != tt.want {
			t.Errorf("%.60q: the reference says %d, want %d", tt.fields, got, tt.want)
		}
	}
}

func FuzzUrgency(f *testing.F) {
	for _, tt := range priorities {
		f.Add(strings.Join(tt.fields, "\n"))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		fields := strings.Split(lines, "\n")
		if got, want := urgency(fields), urgencyByTheBook(fields); got != want {
			t.Errorf("%q: %d, want %d", fields, got, want)
		}
	})
}

// urgencyByTheBook follows the steps of RFC 9651 §4.2.
func urgencyByTheBook(fields []string) (u int) {
	p := &book{strings.Trim(strings.Join(fields, ","), " \t")}
	if len(p.rest) > maxPriority {
		return 3
	}
	defer func() {
		if v := recover(); v != nil {
			if v != errBook {
				panic(v)
			}
			u = 3
		}
	}()
	u = 3
	for p.rest != "" {
		key, value := p.key(), ""
		if p.eat("=") {
			if p.see("(") {
				value = p.innerList()
			} else {
				value = p.bareItem()
			}
		}
		p.parameters()
		if key == "u" {
			u = 3
			for n := range 8 {
				if digits := strings.TrimLeft(strings.TrimPrefix(value, "-"), "0"); value != "" && value[0] >= '-' && value[0] <= '9' &&
					!strings.Contains(value, ".") && (digits == strconv.Itoa(n) && value[0] != '-' || digits == "" && n == 0) {
					u = n
				}
			}
		}
		p.skip(" \t")
		if p.rest == "" {
			break
		}
		p.need(p.eat(","))
		p.skip(" \t")
		p.need(p.rest != "")
	}
	return u
}

const errBook = "the field cannot be parsed"

type book struct{ rest string }

func (p *book) need(ok bool) {
	if !ok {
		panic(errBook)
	}
}

func (p *book) see(any string) bool {
	return p.rest != "" && strings.IndexByte(any, p.rest[0]) >= 0
}

func (p *book) eat(any string) bool {
	if !p.see(any) {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// skip returns how many bytes there were of any.
func (p *book) skip(any string) (n int) {
	for p.eat(any) {
		n++
	}
	return n
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit0 = "0123456789"
)

func (p *book) key() string {
	all := p.rest
	p.need(p.eat(lower + "*"))
	p.skip(lower + digit0 + "_-.*")
	return all[:len(all)-len(p.rest)]
}

func (p *book) parameters() {
	for p.eat(";") {
		p.skip(" ")
		p.key()
		if p.eat("=") {
			p.bareItem()
		}
	}
}

func (p *book) innerList() string {
	p.need(p.eat("("))
	for {
		p.skip(" ")
		if p.eat(")") {
			return "("
		}
		p.bareItem()
		p.parameters()
		p.need(p.see(" )"))
	}
}

// bareItem returns its text.
func (p *book) bareItem() string {
	all := p.rest
	switch {
	case p.see("-" + digit0):
		p.number(true)
	case p.eat("@"):
		p.number(false)
	case p.eat(`"`):
		for !p.eat(`"`) {
			p.need(p.rest != "" && p.rest[0] >= ' ' && p.rest[0] <= '~')
			if p.eat(`\`) {
				p.need(p.eat(`"\`))
			} else {
				p.rest = p.rest[1:]
			}
		}
	case p.see(upper + lower + "*"):
		p.skip(upper + lower + digit0 + "!#$%&'*+-.^_`|~:/")
	case p.eat(":"):
		p.skip(upper + lower + digit0 + "+/=")
		p.need(p.eat(":"))
	case p.eat("?"):
		p.need(p.eat("01"))
	case p.eat("%"):
		p.need(p.eat(`"`))
		for !p.eat(`"`) {
			p.need(p.rest != "" && p.rest[0] >= ' ' && p.rest[0] <= '~')
			if p.eat("%") {
				p.need(p.eat(digit0 + "abcdef"))
				p.need(p.eat(digit0 + "abcdef"))
			} else {
				p.rest = p.rest[1:]
			}
		}
	default:
		p.need(false)
	}
	return all[:len(all)-len(p.rest)]
}

func (p *book) number(decimal bool) {
	p.eat("-")
	n := p.skip(digit0)
	p.need(n > 0)
	if !decimal || !p.eat(".") {
		p.need(n <= 15)
		return
	}
	p.need(n <= 12)
	n = p.skip(digit0)
	p.need(n > 0 && n <= 3)
}
