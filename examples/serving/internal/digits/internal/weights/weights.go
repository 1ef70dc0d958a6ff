package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

const (
	magic     = "BALLAST1"
	maxLayers = 8
	maxWidth  = 1 << 16
)

// ErrFormat is what every error of Decode and Encode is.
var ErrFormat = errors.New("weights: malformed network")

// Layer is one fully connected layer: out = in·W + b.
type Layer struct {
	In, Out int
	W       []float32 // In rows of Out elements
	B       []float32 // Out elements
}

// Encode writes a network, with its matrices rounded to the nearest half. It refuses what Decode would refuse: layers
// whose sizes do not fit together, and parameters that are not finite as halves (beyond ±65504).
func Encode(layers []Layer) ([]byte, error) {
	if len(layers) == 0 || len(layers) > maxLayers {
		return nil, fmt.Errorf("%w: %d layers, want 1 to %d", ErrFormat, len(layers), maxLayers)
	}
	out := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(layers)))
	out = binary.LittleEndian.AppendUint32(out, uint32(layers[0].In))
	for i, l := range layers {
		if l.In < 1 || l.In > maxWidth || l.Out < 1 || l.Out > maxWidth || len(l.W) != l.In*l.Out || len(l.B) != l.Out ||
			i > 0 && l.In != layers[i-1].Out {
			return nil, fmt.Errorf("%w: layer %d is %d×%d with %d weights and %d biases",
				ErrFormat, i, l.In, l.Out, len(l.W), len(l.B))
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(l.Out))
	}
	for i, l := range layers {
		for _, v := range l.W {
			h := toHalf(v)
			if h&0x7c00 == 0x7c00 {
				return nil, fmt.Errorf("%w: layer %d has the weight %g", ErrFormat, i, v)
			}
			out = binary.LittleEndian.AppendUint16(out, h)
		}
		for _, v := range l.B {
			if !finite(v) {
				return nil, fmt.Errorf("%w: layer %d has the bias %g", ErrFormat, i, v)
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out)), nil
}

// Decode reads a network. The header must account for every byte of data before anything is allocated, so that no
// input makes it allocate more than about twice its own length. All errors are ErrFormat.
func Decode(data []byte) ([]Layer, error) {
	widths, rest, err := header(data)
	if err != nil {
		return nil, err
	}
	if sum, want := crc32.ChecksumIEEE(data[:len(data)-4]), binary.LittleEndian.Uint32(data[len(data)-4:]); sum != want {
		return nil, fmt.Errorf("%w: checksum %08x, the file says %08x", ErrFormat, sum, want)
	}
	layers := make([]Layer, len(widths)-1)
	for i := range layers {
		l := Layer{In: widths[i], Out: widths[i+1]}
		l.W, l.B = make([]float32, l.In*l.Out), make([]float32, l.Out)
		for j := range l.W {
			l.W[j] = fromHalf(binary.LittleEndian.Uint16(rest[2*j:]))
		}
		rest = rest[2*len(l.W):]
		for j := range l.B {
			l.B[j] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*j:]))
		}
		rest = rest[4*len(l.B):]
		for _, part := range [][]float32{l.W, l.B} {
			for _, v := range part {
				if !finite(v) {
					return nil, fmt.Errorf("%w: layer %d holds %g", ErrFormat, i, v)
				}
			}
		}
		layers[i] = l
	}
	return layers, nil
}

// header checks magic, widths and total length; it returns the widths and what follows them.
func header(data []byte) (widths []int, rest []byte, err error) {
	if len(data) < len(magic)+4 || string(data[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, magic)
	}
	rest = data[len(magic):]
	n := binary.LittleEndian.Uint32(rest)
	if n < 1 || n > maxLayers {
		return nil, nil, fmt.Errorf("%w: %d layers, want 1 to %d", ErrFormat, n, maxLayers)
	}
	rest = rest[4:]
	if len(rest) < 4*int(n+1) {
		return nil, nil, fmt.Errorf("%w: it ends inside its header", ErrFormat)
	}
	want := uint64(4) // the checksum
	for i := range int(n + 1) {
		w := binary.LittleEndian.Uint32(rest)
		if w < 1 || w > maxWidth {
			return nil, nil, fmt.Errorf("%w: a layer of width %d, want 1 to %d", ErrFormat, w, maxWidth)
		}
		if i > 0 {
			want += 2*uint64(widths[i-1])*uint64(w) + 4*uint64(w)
		}
		widths = append(widths, int(w))
		rest = rest[4:]
	}
	if uint64(len(rest)) != want {
		return nil, nil, fmt.Errorf("%w: widths %v take %d bytes, there are %d", ErrFormat, widths, want, len(rest))
	}
	return widths, rest, nil
}

func finite(v float32) bool { return math.Float32bits(v)&0x7f800000 != 0x7f800000 }
