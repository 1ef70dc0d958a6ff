package authrbac

// fewKeys is up to how many strings are found sooner by comparing them all.
const fewKeys = 6

// dict finds values by strings: a map that is faster while it is small.
type dict[T any] struct {
	few  []pair[T]
	many map[string]T
}

type pair[T any] struct {
	key   string
	value T
}

func newDict[T any](m map[string]T) dict[T] {
	if len(m) > fewKeys {
		return dict[T]{many: m}
	}
	var d dict[T]
	for k, v := range m {
		d.few = append(d.few, pair[T]{k, v})
	}
	return d
}

// get returns the zero value for what is not there.
func (d *dict[T]) get(key string) (value T) {
	if d.many != nil {
		return d.many[key]
	}
	for i := range d.few {
		if d.few[i].key == key {
			return d.few[i].value
		}
	}
	return value
}

func (d *dict[T]) keys() (all []string) {
	for i := range d.few {
		all = append(all, d.few[i].key)
	}
	for k := range d.many {
		all = append(all, k)
	}
	return all
}
