package cdc

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

func TestPublicationThatDiffersIsRepaired(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]string{
		"all columns":    `create publication relay for table relay.outbox with (publish = 'insert')`,
		"other columns":  `create publication relay for table relay.outbox (key) with (publish = 'insert')`,
		"filter":         `create publication relay for table relay.outbox (id, key, deliver_at) where (key = 'x') with (publish = 'insert')`,
		"no inserts":     `create publication relay for table relay.outbox (id, key, deliver_at) with (publish = 'truncate')`,
		"more":           `create publication relay for table relay.outbox with (publish = 'insert, update')`,
		"other table":    `create table relay.other (n int); create publication relay for table relay.other`,
		"schema":         `create publication relay for tables in schema relay`,
		"every table":    `create publication relay for all tables`,
		"partition root": `create publication relay for table relay.outbox (id, key, deliver_at) with (publish = 'insert', publish_via_partition_root)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.admin(make + "; alter publication relay owner to relay")
			b.streaming()
			b.insert("a")
			b.heard("a")
			if !strings.Contains(b.log.String(), "publication differs") {
				t.Error("the log does not report it")
			}
		})
	}
}

func TestPublicationOfSomebodyElseIsTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.admin(`create publication relay for table relay.outbox`)
	r := b.run()
	b.until(r, `publication "relay" differs (its columns are not id, key, deliver_at, seq, it publishes more than inserts) and belongs to another role; to mend it: alter publication "relay" owner to "relay"`)
	b.admin(`alter publication relay owner to relay`)
	b.until(r, "streaming")
}

func TestPublicationThatCannotBeMadeIsTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.admin("revoke create on database " + b.db.Name + " from relay")
	r := b.run()
	b.until(r, "to mend it: grant create on database ")
	b.admin("grant create on database " + b.db.Name + " to relay")
	b.until(r, "streaming")
}

func TestNamesAreQuoted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.Publication = `Odd "name" of 'mine', here`
	b.streaming()
	b.insert("a")
	b.heard("a")
}

func TestNoTableIsTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.relay("drop table relay.outbox")
	r := b.run()
	b.until(r, "table relay.outbox does not exist; to mend it: relay migrate")
	b.relay(makeOutbox)
	b.until(r, "streaming")
}

func TestPublicationDroppedInMidStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	b.relay("drop publication relay")
	b.insert("lost to the stream")
	again := b.missedAgain(1)
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	b.insert("a")
	harness.Eventually(t, 10*time.Second, "a row is heard", func() bool { return strings.HasSuffix(b.rec.keys(), "a") })
}

// TestPublicationRecreatedWithChangesPending reproduces a slot that is stuck for ever:
// what was written while there was no publication can never be decoded.
func TestPublicationRecreatedWithChangesPending(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HeartbeatEvery = time.Hour // the catalogue is not looked at meanwhile
	r := b.streaming()
	r.stop()
	b.relay("drop publication relay")
	b.insert("lost to the stream")
	b.relay(`create publication relay for table relay.outbox (id, key, deliver_at) with (publish = 'insert')`)
	again := b.missedAgain(2)
	b.streaming()
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	b.insert("a")
	b.heard("a")
}

func TestTableRecreatedInMidStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	again := b.missedAgain(1)
	b.relay("drop table relay.outbox; " + makeOutbox)
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	b.insert("a")
	b.heard("a")
}

func TestRowsWithoutAnIDAreSwept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HeartbeatEvery = time.Hour // the catalogue is not looked at meanwhile
	b.streaming()
	again := b.missedAgain(1)
	b.relay("alter publication relay set table relay.outbox (key)")
	b.insert("nameless")
	harness.Eventually(t, 10*time.Second, "a sweep is asked for", again)
	if !strings.Contains(b.log.String(), "without an id") {
		t.Error("the log does not report it")
	}
}

// missedAgain returns whether Missed was called n more times than now.
func (b *bench) missedAgain(n int) func() bool {
	_, before := b.rec.count()
	return func() bool {
		_, now := b.rec.count()
		return now >= before+n
	}
}
