// Package promseries has what Ballast's Prometheus packages count with where
// client_golang would cost too much for each request: a [Histogram] whose
// observation is two atomic operations, with classic and native buckets and
// exemplars, and a bounded [Table] that is read without a lock.
package promseries
