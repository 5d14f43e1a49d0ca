package demo

import (
	"math"
	"time"
)

// Buckets grow by 5 % from 10 µs: 300 of them reach 22 s.
const (
	firstBucket  = 10 * time.Microsecond
	bucketGrowth = 1.05
	buckets      = 300
)

// latencies is a histogram: a demo may run for days.
type latencies struct {
	count int
	in    [buckets]int
}

// add counts one time; what lies below or above the buckets counts in the first or last.
func (l *latencies) add(d time.Duration) {
	n := 0
	if d > firstBucket {
		n = int(math.Ceil(math.Log(float64(d)/float64(firstBucket)) / math.Log(bucketGrowth)))
	}
	l.in[min(n, buckets-1)]++
	l.count++
}

// plus returns the sum of two histograms.
func (l latencies) plus(other latencies) latencies {
	l.count += other.count
	for i, n := range other.in {
		l.in[i] += n
	}
	return l
}

// quantile returns the time that the share q of all did not exceed, at most 5 % too much. Zero
// means that nothing was counted.
func (l *latencies) quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(l.count)))
	for i, n := range l.in {
		if rank -= n; rank <= 0 && l.count > 0 {
			return time.Duration(float64(firstBucket) * math.Pow(bucketGrowth, float64(i)))
		}
	}
	return 0
}
