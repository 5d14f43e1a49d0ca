package reconcile

import (
	"testing"

	"relay/sql"
)

func TestHiddenTransactionsKeepReadingFromTheLowestMessage(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	h := newHidden(k)
	asOf := func() bool {
		k.from("k")
		after, _, _ := k.from("k")
		return after > 0
	}
	k.took("k", 7)
	if !asOf() {
		t.Fatal("a key is not read on although all is visible")
	}
	h.add(5, false)
	if asOf() {
		t.Error("a key is read on while a transaction is hidden")
	}
	if after, _, _ := k.from("other"); after != 0 {
		t.Error("a key that is not in memory is read on")
	}
	before := k.losses.Load()
	if sweep, more := h.shown(sql.Snapshot{}); sweep || !more || k.losses.Load() != before {
		t.Errorf("nothing was shown: sweep %v, more %v", sweep, more)
	}
	h.add(5, true)
	h.add(5, false)
	h.add(0, false) // visible in every snapshot
	if sweep, more := h.shown(sql.Snapshot{}); sweep || !more || k.losses.Load() != before+1 {
		t.Errorf("the other was shown: sweep %v, more %v, losses %d", sweep, more, k.losses.Load()-before)
	}
	if asOf() {
		t.Error("a key is read on while a transaction is hidden")
	}
	delete(h.xids, 5)
	h.add(0, true)
	if sweep, more := h.shown(sql.Snapshot{}); !sweep || more || !asOf() {
		t.Errorf("all were shown: sweep %v, more %v", sweep, more)
	}
}
