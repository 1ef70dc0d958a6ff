package dataset

import (
	"crypto/sha256"
	"fmt"
)

// Entry is what a manifest tells of one digit: its label, and the beginning of the SHA-256 of its pixels.
type Entry struct {
	Label uint8
	Hash  [hashSize]byte
}

// hashSize leaves 72 bits of a hash: two of 10,000 images share them by chance once in 10^14 manifests.
const hashSize = 9

// Entry returns the digit's line of the manifest.
func (d *Digit) Entry() Entry {
	sum := sha256.Sum256(d.Pixels[:])
	return Entry{Label: d.Label, Hash: [hashSize]byte(sum[:])}
}

// EncodeManifest lists all digits in the order of their numbers, ten bytes each: the label, then the hash. With it the
// split can be checked by those who do not have the source.
func EncodeManifest(all []Digit) []byte {
	out := make([]byte, 0, len(all)*(1+hashSize))
	for i := range all {
		e := all[i].Entry()
		out = append(append(out, e.Label), e.Hash[:]...)
	}
	return out
}

// ParseManifest reads what EncodeManifest wrote.
func ParseManifest(file []byte) ([]Entry, error) {
	const size = 1 + hashSize
	if len(file)%size != 0 {
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrFormat, len(file))
	}
	out := make([]Entry, len(file)/size)
	for i := range out {
		line := file[i*size:][:size]
		out[i] = Entry{Label: line[0], Hash: [hashSize]byte(line[1:])}
	}
	return out, nil
}
