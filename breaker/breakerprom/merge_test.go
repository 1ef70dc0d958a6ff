package breakerprom

import (
	"reflect"
	"testing"

	"github.com/ballast-go/ballast/breaker"
)

// Whatever is counted is a sum, fields that are yet to come included.
func TestMerge(t *testing.T) {
	var a, b breaker.Stats
	fields := reflect.VisibleFields(reflect.TypeFor[breaker.Stats]())
	for i, f := range fields {
		if f.Type.Kind() == reflect.Uint64 {
			reflect.ValueOf(&a).Elem().Field(i).SetUint(uint64(10 + i))
			reflect.ValueOf(&b).Elem().Field(i).SetUint(uint64(1000 * (10 + i)))
		}
	}
	a.State, a.Share, a.WindowCalls, a.WindowFailureRate, a.WindowSlowRate = breaker.Closed, 1, 10, 0.5, 1
	b.State, b.Share, b.WindowCalls, b.RetryAfter = breaker.Open, 0, 30, 7
	for _, got := range []breaker.Stats{merge(a, b), merge(b, a)} {
		for i, f := range fields {
			if f.Type.Kind() != reflect.Uint64 {
				continue
			}
			x, y := reflect.ValueOf(a).Field(i).Uint(), reflect.ValueOf(b).Field(i).Uint()
			if sum := reflect.ValueOf(got).Field(i).Uint(); sum != x+y {
				t.Errorf("%s of %d and %d is %d", f.Name, x, y, sum)
			}
		}
		if got.State != breaker.Open || got.Share != 0 || got.RetryAfter != 7 {
			t.Errorf("not the one that lets least through: %+v", got)
		}
		if got.WindowFailureRate != 0.125 || got.WindowSlowRate != 0.25 {
			t.Errorf("the ratios are not of all calls: %+v", got)
		}
	}
}
