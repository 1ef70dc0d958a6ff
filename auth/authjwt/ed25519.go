package authjwt

import (
	"crypto/ed25519"
	"math/big"
	"slices"
)

// goodEd25519 reports whether key encodes a point of the curve (RFC 8032 §5.1.3)
// whose order does not divide 8. For those eight points, of which 32 zero bytes
// are one, anybody can make signatures; for what is no point nobody can.
func goodEd25519(key ed25519.PublicKey) bool {
	b := slices.Clone(key)
	b[31] &= 0x7f // the sign of x
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	if y.Cmp(p) >= 0 {
		return false
	}
	one := big.NewInt(1)
	mod := func(z *big.Int) *big.Int { return z.Mod(z, p) }

	// -x² + y² = 1 + dx²y², so x² = (y²-1)/(dy²+1), with d = -121665/121666.
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d = mod(d.Mul(d, big.NewInt(-121665)))
	yy := mod(new(big.Int).Mul(y, y))
	u := mod(new(big.Int).Sub(yy, one))
	v := mod(new(big.Int).Add(new(big.Int).Mul(d, yy), one))
	xx := mod(u.Mul(u, v.ModInverse(v, p)))
	if big.Jacobi(xx, p) != 1 {
		// No square, so no point; or 0: y is 1 or -1, of order 1 or 2.
		return false
	}
	// The points of order 4 have y = 0, those of order 8 double to them:
	// 2yy of theirs, the y² + x² of RFC 8032 §5.1.4's doubling, is 0.
	return yy.Sign() != 0 && mod(new(big.Int).Add(xx, yy)).Sign() != 0
}
