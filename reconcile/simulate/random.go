package simulate

import "time"

// random is a splitmix64 generator (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): small enough to have one for each thing that varies, so that a history
// with one step less goes on as before elsewhere.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

// one reports true once in n times on average.
func (r *random) one(n int) bool { return r.next()%uint64(n) == 0 }

// upTo returns a time from 0 to d, mostly a short one.
func (r *random) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	x := time.Duration(r.next() % uint64(d))
	if r.one(2) {
		x /= 16
	}
	return x
}
