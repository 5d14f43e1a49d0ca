package simulate

import (
	"regexp"
	"slices"
	"time"
)

// shrink returns a history that is as short as can be found and breaks the same rule (Zeller
// and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
func shrink(h *history) *history {
	err := run(h, nil)
	if err == nil {
		return h
	}
	rule := ruleOf(err)
	breaks := func(candidate *history) bool {
		err := run(candidate, nil)
		return err != nil && ruleOf(err) == rule
	}
	for smaller := true; smaller; {
		smaller = false
		for _, less := range []func(*history, func(*history) bool) *history{withoutSteps, withoutRows, withSimplerSteps, withSimplerSettings} {
			if next := less(h, breaks); next != nil {
				h, smaller = next, true
			}
		}
	}
	return h
}

// ruleOf is the text of an error without its numbers and names.
func ruleOf(err error) string {
	return figures.ReplaceAllString(err.Error(), "#")
}

var figures = regexp.MustCompile(`[0-9][0-9a-zµ.]*|\bs[0-9]\b| \((key_blocked|full|paused|circuit_open)\)|waiting|push_failed|handle_failed|awaiting_ack`)

// withoutSteps leaves out as many steps as it can, large parts first.
func withoutSteps(h *history, breaks func(*history) bool) (smaller *history) {
	for size := max(1, len(h.ops)/2); size > 0; size /= 2 {
		for from := 0; from < len(h.ops); {
			next := *h
			next.ops = slices.Concat(h.ops[:from], h.ops[min(from+size, len(h.ops)):])
			if breaks(&next) {
				h, smaller = &next, &next
			} else {
				from += size
			}
		}
	}
	return smaller
}

// withoutRows leaves out rows of transactions that insert several.
func withoutRows(h *history, breaks func(*history) bool) (smaller *history) {
	for i := range h.ops {
		for j := 0; len(h.ops[i].inserts) > 1 && j < len(h.ops[i].inserts); j++ {
			next := withOp(h, i)
			next.ops[i].inserts = slices.Delete(slices.Clone(h.ops[i].inserts), j, j+1)
			if breaks(next) {
				h, smaller = next, next
			}
		}
	}
	return smaller
}

func withOp(h *history, _ int) *history {
	next := *h
	next.ops = slices.Clone(h.ops)
	return &next
}

// withSimplerSteps has transactions commit at once, be visible at once, and have no delay.
func withSimplerSteps(h *history, breaks func(*history) bool) (smaller *history) {
	simpler := []func(*op) bool{
		func(o *op) bool { was := o.visible; o.visible = 0; return was != 0 },
		func(o *op) bool { was := o.commit; o.commit = time.Millisecond; return was > time.Millisecond },
		func(o *op) bool { was := o.lasts; o.lasts /= 2; return was > 10*time.Millisecond },
		func(o *op) bool {
			o.inserts = slices.Clone(o.inserts)
			changed := false
			for i := range o.inserts {
				changed = changed || o.inserts[i].delay != 0
				o.inserts[i].delay = 0
			}
			return changed
		},
	}
	for i := range h.ops {
		for _, simplify := range simpler {
			next := withOp(h, i)
			if simplify(&next.ops[i]) && breaks(next) {
				h, smaller = next, next
			}
		}
	}
	return smaller
}

// withSimplerSettings has one relay, large budgets and subscriptions without peculiarities.
func withSimplerSettings(h *history, breaks func(*history) bool) (smaller *history) {
	simpler := []func(*history) bool{
		func(h *history) bool { was := h.relays; h.relays = 1; return was != 1 },
		func(h *history) bool { was := h.async; h.async = false; return was },
		func(h *history) bool { was := h.giveUp; h.giveUp = 0; return was != 0 },
		func(h *history) bool { was := h.entries; h.entries = 100; return was != 100 },
		func(h *history) bool { was := h.bytes; h.bytes = 200_000; return was != 200_000 },
		func(h *history) bool { was := h.readAhead; h.readAhead = 4; return was != 4 },
		func(h *history) bool { was := h.groups; h.groups = 1; return was != 1 },
		func(h *history) bool { was := h.unnumbered; h.unnumbered = false; return was },
		func(h *history) bool { was := h.noRoom; h.noRoom = false; return was },
	}
	for _, simplify := range simpler {
		next := *h
		if simplify(&next) && breaks(&next) {
			h, smaller = &next, &next
		}
	}
	return smaller
}
