package dataset

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// ErrFormat is what every error of DecodeDigits and ParseManifest is.
var ErrFormat = errors.New("dataset: malformed file")

// record is the length of a digit in a file: the label, then the pixels.
const record = 1 + Pixels

// maxDigits bounds what DecodeDigits unpacks: the size of the whole source.
const maxDigits = 10000

// EncodeDigits writes digits as gzip over one record a digit: the label's byte and the pixels' bytes.
func EncodeDigits(digits []Digit) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid constant
	for i := range digits {
		// A bytes.Buffer takes all that is written.
		_, _ = z.Write([]byte{digits[i].Label})
		_, _ = z.Write(digits[i].Pixels[:])
	}
	_ = z.Close()
	return out.Bytes()
}

// DecodeDigits reads what EncodeDigits wrote, at most 10,000 digits.
func DecodeDigits(file []byte) ([]Digit, error) {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxDigits*record+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	if len(data) > maxDigits*record || len(data)%record != 0 {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d records of %d", ErrFormat, len(data), maxDigits, record)
	}
	digits := make([]Digit, len(data)/record)
	for i := range digits {
		r := data[i*record:][:record]
		if r[0] >= Classes {
			return nil, fmt.Errorf("%w: digit %d has the label %d", ErrFormat, i, r[0])
		}
		digits[i].Label = r[0]
		copy(digits[i].Pixels[:], r[1:])
	}
	return digits, nil
}
