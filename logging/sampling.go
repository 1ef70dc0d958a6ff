package logging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// A Sample says which access records of requests that went well are written. Those
// of other requests always are: a status of 500 or above, any outcome but
// "complete", and Keep.
type Sample struct {
	// Ratio is the share that is written, from 0 for none to 1. What it is depends
	// on the trace id alone, in the way of OpenTelemetry's TraceIDRatioBased
	// sampler, or on the request id where there is no trace: so services that
	// sample by the same ratio write the same requests.
	Ratio float64
	// SlowerThan has requests written that took so long, streams included. 0 means
	// that no request is slow.
	SlowerThan time.Duration

	_ struct{}
}

// Validate returns all that is wrong with s, which may be nil.
func (s *Sample) Validate() error {
	if s == nil {
		return nil
	}
	var errs []error
	if !(s.Ratio >= 0 && s.Ratio <= 1) {
		errs = append(errs, fmt.Errorf("logging: Sample.Ratio: %v is not in [0, 1]", s.Ratio))
	}
	if s.SlowerThan < 0 {
		errs = append(errs, fmt.Errorf("logging: Sample.SlowerThan: %v is negative", s.SlowerThan))
	}
	return errors.Join(errs...)
}

func (s *Sample) keeps(rec *reqstate.Record) bool {
	switch {
	case s == nil, rec.Status >= 500, rec.Outcome != reqstate.Complete,
		s.SlowerThan > 0 && rec.Duration >= s.SlowerThan, hasKeep(rec.Attrs):
		return true
	}
	return lot(rec.TraceID, rec.RequestID) < uint64(s.Ratio*(1<<63))
}

// lot is below 1<<63, evenly.
func lot(trace [16]byte, request string) uint64 {
	if trace != [16]byte{} {
		return binary.BigEndian.Uint64(trace[8:]) >> 1 // the random part, by W3C Trace Context Level 2 §3.2.2.3
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(request) {
		h = (h ^ uint64(request[i])) * 1099511628211
	}
	// Its high bits are weak for short texts: MurmurHash3's finalizer.
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return (h ^ h>>33) >> 1
}
