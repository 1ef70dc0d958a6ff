// Package copied copies a Permit, which go vet must find.
package copied

import "github.com/ballast-go/ballast/breaker"

func end(p breaker.Permit) { p.Done(breaker.Success) }

// Call copies the permit that it gets.
func Call(b *breaker.Breaker) error {
	p, err := b.Allow()
	if err != nil {
		return err
	}
	end(*p)
	return nil
}
