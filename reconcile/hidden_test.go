package reconcile

import (
	"testing"

	"relay/sql"
)

func TestHiddenTransactionsKeepReadingFromTheLowestMessage(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	h := newHidden(k)
	sure := func() bool {
		k.from("k")
		after, _, _ := k.from("k")
		return after > 0
	}
	k.took("k", 7)
	if !sure() {
		t.Fatal("a key is not read on although all is visible")
	}
	h.add(5, false)
	if sure() {
		t.Error("a key is read on while a transaction is hidden")
	}
	if after, _, _ := k.from("other"); after != 0 {
		t.Error("a key that is not in memory is read on")
	}
	before := k.doubts.Load()
	if sweep, more := h.shown(sql.Snapshot{}); sweep || !more || k.doubts.Load() != before {
		t.Errorf("nothing was shown: sweep %v, more %v", sweep, more)
	}
	h.add(5, true)
	h.add(5, false)
	h.add(0, false) // visible in every snapshot
	if sweep, more := h.shown(sql.Snapshot{}); sweep || !more || k.doubts.Load() != before+1 {
		t.Errorf("the other was shown: sweep %v, more %v, doubts %d", sweep, more, k.doubts.Load()-before)
	}
	if sure() {
		t.Error("a key is read on while a transaction is hidden")
	}
	delete(h.xids, 5)
	h.add(0, true)
	if sweep, more := h.shown(sql.Snapshot{}); !sweep || more || !sure() {
		t.Errorf("all were shown: sweep %v, more %v", sweep, more)
	}
}
