package simulate

import "testing"

func TestDebug(t *testing.T) {
	h := newHistory(*firstSeed)
	h = shrink(h)
	t.Logf("entries %d bytes %d ahead %d relays %d giveUp %s attempts %d", h.entries, h.bytes, h.readAhead, h.relays, h.giveUp, h.attempts)
	for _, s := range h.subs {
		t.Logf("%s unordered %t block %t ack %t", s.Name, s.Unordered, s.BlockOnDead, s.AckByConsumer)
	}
	for _, o := range h.ops {
		t.Logf("%+v", o)
	}
	var tell []string
	err := run(h, &tell)
	for i, line := range tell {
		if len(tell) < 4000 || i < 75 || i > len(tell)-75 {
			t.Log(line)
		}
	}
	t.Log(err)
}
