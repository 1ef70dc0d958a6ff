package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

func prefixes(s ...string) ratelimit.TrustedProxies {
	var p ratelimit.TrustedProxies
	for _, s := range s {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// from is a request of that peer with those lines of X-Forwarded-For.
func from(peer string, lines ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	if lines != nil {
		r.Header["X-Forwarded-For"] = lines
	}
	return r
}

func TestByClientIP(t *testing.T) {
	proxies := prefixes("10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:192.168.1.0/120")
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"IPv4", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"IPv4 without a port", "192.0.2.1", nil, "192.0.2.1"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:1234", nil, "2001:db8:1:2::/64"},
		{"IPv6 without a port", "2001:db8:1:2:3:4:5:6", nil, "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1"},
		{"zone", "[fe80::1%eth0]:1234", nil, "fe80::/64"},
		{"Unix socket", "@", nil, "no-address"},
		{"Unix socket without a name", "", nil, "no-address"},
		{"Unix socket, whatever it forwards", "@", []string{"192.0.2.1"}, "no-address"},
		{"pipe", "pipe", nil, "no-address"},

		{"header of an untrusted peer", "192.0.2.1:1", []string{"203.0.113.9"}, "192.0.2.1"},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"one proxy", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"invented hops", "10.0.0.1:1", []string{"10.9.9.9, 203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"two lines", "10.0.0.1:1", []string{"203.0.113.9, 192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		{"client's own line before", "10.0.0.1:1", []string{"203.0.113.9", "192.0.2.1"}, "192.0.2.1"},
		{"all trusted", "10.0.0.1:1", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"port", "10.0.0.1:1", []string{"192.0.2.1:5678"}, "192.0.2.1"},
		{"IPv6 port", "10.0.0.1:1", []string{"[2001:db8:1:2:3::]:80"}, "2001:db8:1:2::/64"},
		{"IPv6 brackets", "10.0.0.1:1", []string{"[2001:db8:1:2:3::]"}, "2001:db8:1:2::/64"},
		{"IPv6 zone", "10.0.0.1:1", []string{"fe80::1%" + strings.Repeat("x", 100)}, "fe80::/64"},
		{"blanks", "10.0.0.1:1", []string{" \t192.0.2.1\t , 10.0.0.2 "}, "192.0.2.1"},
		{"IPv6 proxy", "[2001:db8:ffff::1]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"proxy by its mapped prefix", "192.168.1.9:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"mapped proxy", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.1, ::ffff:10.1.1.1"}, "192.0.2.1"},
		{"IPv6 neighbour of a proxy", "[2001:db8:fffe::1]:1", []string{"192.0.2.1"}, "2001:db8:fffe::/64"},

		{"malformed", "10.0.0.1:1", []string{"192.0.2.1, unknown"}, "10.0.0.1"},
		{"malformed behind a second proxy", "10.0.0.1:1", []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"malformed beyond the client", "10.0.0.1:1", []string{"unknown, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"empty", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"empty line last", "10.0.0.1:1", []string{"192.0.2.1", ""}, "10.0.0.1"},
		{"trailing comma", "10.0.0.1:1", []string{"192.0.2.1,"}, "10.0.0.1"},
		{"leading zeros", "10.0.0.1:1", []string{"192.0.2.001"}, "10.0.0.1"},
		{"bracketed IPv4", "10.0.0.1:1", []string{"[192.0.2.1]"}, "10.0.0.1"},
		{"open bracket", "10.0.0.1:1", []string{"[2001:db8::1"}, "10.0.0.1"},
		{"after the bracket", "10.0.0.1:1", []string{"[2001:db8::1]80"}, "10.0.0.1"},
		{"host name", "10.0.0.1:1", []string{"client.example:80"}, "10.0.0.1"},
	}
	key := ratelimit.ByClientIP(proxies)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := key(from(tt.peer, tt.forwarded...)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What the caller does with its slice later changes nothing.
func TestByClientIPKeepsItsOwnList(t *testing.T) {
	p := prefixes("10.0.0.0/8")
	key := ratelimit.ByClientIP(p)
	p[0] = netip.MustParsePrefix("192.0.2.0/24")
	if got := key(from("192.0.2.1:1", "203.0.113.9")); got != "192.0.2.1" {
		t.Errorf("trusts %q", got)
	}
}

func TestByClientIPRefusesToBeBuilt(t *testing.T) {
	for name, p := range map[string]ratelimit.TrustedProxies{
		"zero":            {{}},
		"all of IPv4":     prefixes("10.0.0.0/8", "0.0.0.0/0"),
		"all of IPv6":     prefixes("::/0"),
		"all, mapped":     prefixes("::ffff:0.0.0.0/96"),
		"more than IPv4":  prefixes("::ffff:10.0.0.0/80"),
		"no such address": {netip.PrefixFrom(netip.Addr{}, 8)},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "TrustedProxies[") {
					t.Errorf("%s: panic %v", name, v)
				}
			}()
			ratelimit.ByClientIP(p)
		}()
	}
}

// However a client varies its header or its address within what it has, it
// keeps to one budget.
func TestByClientIPRotation(t *testing.T) {
	for name, request := range map[string]func(i int) *http.Request{
		"X-Forwarded-For to the service": func(i int) *http.Request {
			return from("192.0.2.1:1", fmt.Sprintf("203.0.113.%d", i%256))
		},
		"X-Forwarded-For through a proxy": func(i int) *http.Request {
			return from("10.0.0.1:1", fmt.Sprintf("10.9.9.9, 198.51.%d.%d, 192.0.2.1", i/256, i%256))
		},
		"a line of its own through a proxy": func(i int) *http.Request {
			return from("10.0.0.1:1", fmt.Sprintf("198.51.100.%d", i%256), "192.0.2.1")
		},
		"ports": func(i int) *http.Request { return from(fmt.Sprintf("192.0.2.1:%d", i+1)) },
		"its /64": func(i int) *http.Request {
			return from(fmt.Sprintf("[2001:db8:1:2:%x::%x]:1", i, i*7))
		},
		"its /64 through a proxy": func(i int) *http.Request {
			return from("10.0.0.1:1", fmt.Sprintf("2001:db8:1:2:%x::%x", i, i*7))
		},
		"zones": func(i int) *http.Request { return from(fmt.Sprintf("[fe80::1%%eth%d]:1", i)) },
		"spelling": func(i int) *http.Request {
			return from("10.0.0.1:1", []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:80", " ::ffff:c000:201", "[::FFFF:192.0.2.1]:1"}[i%5])
		},
		"what no proxy writes": func(i int) *http.Request {
			return from("10.0.0.1:1", fmt.Sprintf("192.0.2.1, garbage %d", i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(5)), ratelimit.MiddlewareConfig{
				Key: ratelimit.ByClientIP(prefixes("10.0.0.0/8")),
			})(ok)
			served := 0
			for i := range 300 {
				if get(h, request(i)).Code == http.StatusNoContent {
					served++
				}
			}
			if served != 5 {
				t.Errorf("served %d of 300 requests, want 5", served)
			}
		})
	}
}

// A header of the greatest size that anybody allows is not read to its end.
func TestByClientIPHugeHeader(t *testing.T) {
	key := ratelimit.ByClientIP(prefixes("10.0.0.0/8"))
	for name, tt := range map[string]struct{ forwarded, want string }{
		"untrusted hops": {strings.Repeat("203.0.113.9,", 1<<20/12) + "192.0.2.1", "192.0.2.1"},
		"trusted hops":   {strings.Repeat("10.0.0.2,", 1<<20/9) + "10.0.0.2", "10.0.0.2"},
		"commas":         {strings.Repeat(",", 1<<20), "10.0.0.1"},
		"one hop":        {strings.Repeat("1", 1<<20), "10.0.0.1"},
		"one zone":       {"fe80::1%" + strings.Repeat("z", 1<<20), "fe80::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			r := from("10.0.0.1:1", tt.forwarded)
			if got := key(r); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			// Bytes, not time: each hop that is read allocates nothing, and
			// nothing may be as large as the header.
			if n := testing.AllocsPerRun(10, func() { key(r) }); n > 4 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	// 64 proxies in a row are too many to be true.
	lines := append([]string{"192.0.2.1"}, slices.Repeat([]string{"10.0.0.2"}, 63)...)
	if got := key(from("10.0.0.1:1", lines...)); got != "192.0.2.1" {
		t.Errorf("behind 64 proxies: %q", got)
	}
	if got := key(from("10.0.0.1:1", append(lines, "10.0.0.2")...)); got != "10.0.0.2" {
		t.Errorf("behind 65 proxies: %q", got)
	}
}

func TestByClientIPAllocations(t *testing.T) {
	for name, tt := range map[string]struct {
		r    *http.Request
		most float64
	}{
		"IPv4":           {from("192.0.2.1:1234", "203.0.113.9"), 0},
		"IPv6":           {from("[2001:db8:1:2:3:4:5:6]:1234"), 1},
		"proxy, to IPv4": {from("10.0.0.1:1", "192.0.2.1, 10.0.0.2"), 1},
		"proxy, to IPv6": {from("10.0.0.1:1", "2001:db8:1:2:3:4:5:6, 10.0.0.2"), 1},
		"Unix socket":    {from("@"), 1},
	} {
		key := ratelimit.ByClientIP(prefixes("10.0.0.0/8"))
		if n := testing.AllocsPerRun(100, func() { key(tt.r) }); n > tt.most {
			t.Errorf("%s: %v allocations, want %v", name, n, tt.most)
		}
	}
}

// naiveClientIP does the same by writing out the whole chain first.
func naiveClientIP(p ratelimit.TrustedProxies, peer string, lines []string) string {
	parse := func(s string) (netip.Addr, bool) {
		s = strings.Trim(s, " \t")
		if host, rest, ok := strings.Cut(s, "%"); ok { // drop the zone
			if _, after, bracket := strings.Cut(rest, "]"); bracket && strings.HasPrefix(s, "[") {
				s = host + "]" + after
			} else if !strings.HasPrefix(s, "[") {
				s = host
			}
		}
		if strings.HasPrefix(s, "[") {
			i := strings.IndexByte(s, ']')
			if i < 0 || i+1 < len(s) && s[i+1] != ':' {
				return netip.Addr{}, false
			}
			a, err := netip.ParseAddr(s[1:i])
			return a.Unmap(), err == nil && a.Is6()
		}
		if strings.Count(s, ":") == 1 {
			s = strings.Split(s, ":")[0]
		}
		a, err := netip.ParseAddr(s)
		return a.Unmap(), err == nil
	}
	chain := []string{}
	if len(lines) > 0 {
		chain = strings.Split(strings.Join(lines, ","), ",")
	}
	if len(chain) > 64 {
		chain = chain[len(chain)-64:]
	}
	chain = append(chain, peer)
	client := netip.Addr{}
	for i := len(chain) - 1; i >= 0; i-- {
		a, ok := parse(chain[i])
		if !ok {
			break
		}
		client = a
		trusted := false
		for _, prefix := range p {
			trusted = trusted || prefix.Contains(a)
		}
		if !trusted {
			break
		}
	}
	switch {
	case !client.IsValid():
		return "no-address"
	case client.Is4():
		return client.String()
	}
	b := client.As16()
	clear(b[8:])
	return netip.AddrFrom16(b).String() + "/64"
}

func FuzzByClientIP(f *testing.F) {
	f.Add("192.0.2.1:1", "")
	f.Add("10.0.0.1:1", "203.0.113.9, 192.0.2.1\n10.0.0.2:80")
	f.Add("[2001:db8:ffff::1]:1", "[::1]:80, [fe80::1%25]:1,::ffff:10.1.1.1")
	f.Add("10.0.0.1", "1.2.3.4%x, [1::%]%2]:, [a%b]")
	f.Add("::ffff:10.0.0.1%z", ",,\n\n ,")
	f.Add("192.0.2.1:80%:", "1.2.3.4%x:80, 1.2.3.4:80%:")
	f.Add("10.0.0.1:", strings.Repeat("10.0.0.1,", 70))
	p := prefixes("10.0.0.0/8", "2001:db8:ffff::/48", "fe80::/10")
	key := ratelimit.ByClientIP(p)
	f.Fuzz(func(t *testing.T, peer, header string) {
		var lines []string
		if header != "" {
			lines = strings.Split(header, "\n")
		}
		if got, want := key(from(peer, lines...)), naiveClientIP(p, peer, lines); got != want {
			t.Errorf("peer %q, header %q: %q, want %q", peer, lines, got, want)
		}
	})
}
