package authjwt

import "math/big"

// roca reports whether n is an RSA modulus of the kind that Infineon's library
// made until 2017: its primes are powers of 65537 modulo the product of the
// small primes, and so is n, by which it is known and factored (Nemec et al.,
// "The Return of Coppersmith's Attack", CCS 2017). Of other moduli 1 in 2²⁷
// looks like it.
func roca(n *big.Int) bool {
	var rest big.Int
	for _, p := range [...]int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71,
		73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149,
		151, 157, 163, 167,
	} {
		if !powerOf65537(rest.Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

func powerOf65537(r, p int64) bool {
	power := int64(1)
	for range p - 1 {
		if power == r {
			return true
		}
		power = power * 65537 % p
	}
	return false
}
