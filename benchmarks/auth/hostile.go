package authbench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
)

const (
	tableHostile     = "hostile"
	tableHostileMost = "hostile, the longest"
	hostileBytes     = 645_000
	longestToken     = 16 << 10 // that authjwt looks at
)

// hostile is a token with a key id that is known and no signature of that key,
// and with as many claims as there is room for: of what has that length, few
// documents are more expensive to decode. net/http takes a megabyte of headers by default.
func (i *issuer) hostile(length int) string {
	header := encode(i.header())
	sig := base64.RawURLEncoding.EncodeToString(make([]byte, i.signature()))
	room := (length - len(header) - len(sig) - 2) / 4 * 3
	claims := []byte(`{"iss":"` + issuerName + `"`)
	for n := 0; len(claims) < room-16; n++ {
		claims = fmt.Appendf(claims, `,"%x":0`, n)
	}
	claims = append(claims, bytes.Repeat([]byte(" "), room-len(claims)-1)...)
	return header + "." + base64.RawURLEncoding.EncodeToString(append(claims, '}')) + "." + sig
}

// hostileTables measure what a refusal costs that anybody can ask for.
func hostileTables(i *issuer) []Table {
	table := func(name, title string, length int) Table {
		t := Table{Name: name, Title: title, Workers: 1, Batch: 1}
		for _, p := range append(ownPeers()[:1], peers()...) {
			t.Contenders = append(t.Contenders, Contender{Name: p.name, Open: func() (Op, func(), error) {
				m, err := p.new(i)
				if err != nil {
					return nil, nil, err
				}
				op := serve(m, request("Bearer "+i.hostile(length)), http.StatusUnauthorized)
				return op, nil, op(0, 1)
			}})
		}
		return t
	}
	most := table(tableHostileMost, fmt.Sprintf("A forged token of %d bytes, the longest that is looked at, %s", longestToken, i.alg), longestToken)
	most.Batch = 16
	return []Table{table(tableHostile, fmt.Sprintf("A forged token of %d KB, %s", hostileBytes/1000, i.alg), hostileBytes), most}
}
