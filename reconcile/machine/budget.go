package machine

// share is how many times the free room one destination may hold: three quarters of the budget
// if it is alone, three sevenths each if there are two, and so on. There is always some left
// for one that comes (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
const share = 3

// budget bounds what is in memory. A row that is not routed yet is one entry, afterwards each
// of its deliveries is one. The last eighth of the entries is for sweeps and parked deliveries,
// which for their part may hold one half.
type budget struct {
	maxEntries int
	maxBytes   int64
	entries    int
	routed     int // of them, deliveries of rows that were read
	bytes      int64
	fromTable  int // entries that sweeps have found, or that were parked
}

// fits reports whether one more row may be registered.
func (b *budget) fits(swept bool) bool {
	if swept {
		return b.fromTable < max(1, b.maxEntries/2) && b.entries < b.maxEntries
	}
	return b.entries < b.maxEntries-b.maxEntries/8
}

// room is how many more rows a sweep may register.
func (b *budget) room() int {
	if b.bytes > b.maxBytes/2 {
		return 0
	}
	return max(0, min(max(1, b.maxEntries/2)-b.fromTable, b.maxEntries-b.entries))
}

// admits reports whether a destination may hold one delivery more of a size in bytes. One that
// holds nothing always may.
func (b *budget) admits(d *destination, bytes int64) bool {
	return d.entries == 0 ||
		d.entries < max(1, share*(b.maxEntries-b.routed)) && d.bytes+bytes <= share*max(0, b.maxBytes-b.bytes)
}
