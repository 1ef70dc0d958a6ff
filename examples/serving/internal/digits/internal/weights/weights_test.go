package weights

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"testing"
)

// Every half must survive widening and rounding, and its value must be the definition's.
func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := fromHalf(h)
		exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
		want := math.Ldexp(1024+frac, exp-25)
		switch {
		case exp == 0:
			want = math.Ldexp(frac, -24)
		case exp == 31 && frac == 0:
			want = math.Inf(1)
		case exp == 31:
			want = math.NaN()
		}
		if h&0x8000 != 0 {
			want = -want
		}
		if float64(f) != want && !(f != f && want != want) || math.Signbit(float64(f)) != (h&0x8000 != 0) {
			t.Fatalf("%04x widens to %g, want %g", h, f, want)
		}
		if back := toHalf(f); back != h && f == f {
			t.Fatalf("%04x widens to %g and comes back as %04x", h, f, back)
		}
	}
	if h := toHalf(float32(math.NaN())); fromHalf(h) == fromHalf(h) {
		t.Errorf("NaN became %04x", h)
	}
}

// Between two neighbouring halves the nearer wins, and the even one in the middle.
func TestToHalfRoundsToNearestEven(t *testing.T) {
	for h := uint16(0); h < 0x7c00; h++ {
		lo, hi := float64(fromHalf(h)), float64(fromHalf(h+1))
		if h == 0x7bff {
			hi = 65536
		}
		mid := (lo + hi) / 2
		even := h + h&1
		for _, c := range []struct {
			f    float32
			want uint16
		}{
			{float32(mid), even},
			{math.Nextafter32(float32(mid), 0), h},
			{math.Nextafter32(float32(mid), math.MaxFloat32), h + 1},
		} {
			if got := toHalf(c.f); got != c.want {
				t.Fatalf("%g rounds to %04x, want %04x", c.f, got, c.want)
			}
			if got := toHalf(-c.f); got != c.want|0x8000 {
				t.Fatalf("%g rounds to %04x, want %04x", -c.f, got, c.want|0x8000)
			}
		}
	}
}

func network() []Layer {
	return []Layer{
		{In: 3, Out: 2, W: []float32{1, -0.5, 0.25, 2, 65504, 0x1p-24}, B: []float32{0.1, -1e-30}},
		{In: 2, Out: 1, W: []float32{0, -3}, B: []float32{1e30}},
	}
}

func TestEncodeDecode(t *testing.T) {
	data, err := Encode(network())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := network(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, layers := range map[string][]Layer{
		"no layers":      {},
		"nine layers":    make([]Layer, 9),
		"no inputs":      {{In: 0, Out: 1, B: []float32{1}}},
		"too few biases": {{In: 1, Out: 1, W: []float32{1}}},
		"a gap":          {{In: 1, Out: 1, W: []float32{1}, B: []float32{1}}, {In: 2, Out: 1, W: []float32{1, 2}, B: []float32{1}}},
		"a large weight": {{In: 1, Out: 1, W: []float32{65520}, B: []float32{1}}},
		"infinite bias":  {{In: 1, Out: 1, W: []float32{1}, B: []float32{inf}}},
	} {
		if _, err := Encode(layers); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// seal puts the right checksum at the end, so that the checks before and after it are reached.
func seal(data []byte) []byte {
	if len(data) < 4 {
		return data
	}
	binary.LittleEndian.PutUint32(data[len(data)-4:], crc32.ChecksumIEEE(data[:len(data)-4]))
	return data
}

func TestDecodeRefuses(t *testing.T) {
	good := func(change func([]byte) []byte) []byte {
		data, err := Encode(network())
		if err != nil {
			t.Fatal(err)
		}
		return change(data)
	}
	for name, data := range map[string][]byte{
		"empty":        nil,
		"another file": []byte("PK\x03\x04 something else"),
		"magic only":   []byte(magic),
		"no layers":    good(func(b []byte) []byte { b[8] = 0; return b }),
		"many layers":  good(func(b []byte) []byte { b[11] = 255; return b }),
		"short header": good(func(b []byte) []byte { return b[:20] }),
		"width 0":      good(func(b []byte) []byte { b[12] = 0; return b }),
		"huge widths":  good(func(b []byte) []byte { copy(b[12:], "\x00\x00\x01\x00\x00\x00\x01\x00"); return seal(b) }),
		"huge width":   good(func(b []byte) []byte { b[15] = 1; return seal(b) }),
		"truncated":    good(func(b []byte) []byte { return b[:len(b)-1] }),
		"trailing":     good(func(b []byte) []byte { return append(b, 0) }),
		"flipped bit":  good(func(b []byte) []byte { b[30] ^= 1; return b }),
		"infinite":     good(func(b []byte) []byte { b[25] = 0x7c; return seal(b) }),
	} {
		if l, err := Decode(data); !errors.Is(err, ErrFormat) || l != nil {
			t.Errorf("%s: got %v, %v", name, l, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// FuzzDecode: whatever the bytes, an error or a network that encodes to the same bytes; never a panic.
func FuzzDecode(f *testing.F) {
	data, err := Encode(network())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, false)
	f.Add(data[:21], true)
	f.Add([]byte(magic+"\x08\x00\x00\x00\xff\xff\xff\xff"), true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed {
			data = seal(append([]byte(nil), data...))
		}
		layers, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		back, err := Encode(layers)
		if err != nil {
			t.Fatal(err)
		}
		if string(back) != string(data) {
			t.Fatalf("%x decodes and encodes to %x", data, back)
		}
	})
}
