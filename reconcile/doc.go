// Package reconcile brings every row of the outbox to an end: it hears of rows, reads them,
// has them sent, and writes what became of them.
//
// # The idea
//
// A doorbell says only that rows exist. What they are, and whether they are still due, is
// read from the table just before sending, so that there is one path for every message,
// the process that found it:
//
//	stream or NOTIFY ─┐
//	sweep, due time  ─┼─> registry ─> read ─> route ─> send ─> write ─> unregister
//	parked, by hand  ─┘
//
// # Four rules
//
// Register before you read. The registry holds what is in flight, bounded in messages and
// in bytes. A second ring for the same thing is dropped, so that no message is under way
// twice. What does not fit is left to the table.
//
// Read before you send. A row that is not pending any more is forgotten: that filters the
// WAL which a server sends again after a crash. A row that the stream shows and SQL cannot
// see yet is looked for again for a second; then the engine waits for its transaction to become
// visible, and sweeps. The stream tells the transaction, and a snapshot whether it is visible:
// if it is, and the row is not there, the row is gone and is forgotten. Nothing is sent
// that could not be read. What took more than a second from being read to being handed on is
// read again, and what is not sent within another second goes back to the table: no attempt
// starts more than two seconds after a cancel or a pause was committed.
//
// Write before you unregister. An outcome is in the table before its entry leaves the
// registry, hence no sweep can find a message that has been sent. Writes are fenced by the
// lease rows, and skip rows that another session has locked; those stay registered and are
// written later, without a new attempt.
//
// Confirm at hand-over. Ring returns as soon as rows are registered or left, and never
// waits for a destination. The slot follows the WAL whatever endpoints do.
//
// # What waits, waits in the table
//
// A delivery that cannot start within a second is parked: its message becomes open, and the
// delivery waiting, with a reason. Parked deliveries have no due time; they are read again
// when their circuit has room. Failed ones have a due time and a timer. Pending messages
// are only those that no relay has looked at yet, which keeps a sweep short.
//
// One kind waits in memory instead: a pending message without a key and with a single subscriber,
// whose destination is well and will get to it within two seconds. The engine keeps the entry, lets
// go of the row, and reads the row again when the destination has room. A burst is thus written once.
//
// # Order by key
//
// A line is one key at one subscriber. Of each line only the head is sent; the next follows
// when it was accepted, or ended under a policy that lets the key go on. A key's pending
// messages are read by key, lowest sequence first and some ahead, by one reader alone, and
// routed in that order. A sequence is taken before the commit: a lower one that shows up late
// was reported, or is found when the key is read from its lowest message again, as it is after
// each sweep, wherever a ring may have been lost, and as long as a transaction has been reported that SQL
// does not show. A delayed message becomes an ordinary one when its time has come, by a change of its row; a key of
// which something is due that has not become so yet is left alone for that moment. A line is in memory
// as long as something of it is under way or being written. What is behind a head that
// failed, or has waited for a second, is parked as key_blocked, and only after the head's own
// outcome is written: else a crash in between would let it overtake. As soon as the table
// holds something of a line, what is taken up later has to wait there too. When nothing of a
// line is under way any more, the table's head is woken, although later ones may still be on
// their way into the table; after a start or a takeover all lines are looked at, by a skip
// scan. A head is not woken while a message of its key with a lower sequence is pending,
// which a crash may leave behind. A command that ends a head by hand makes the next one due in the same
// transaction: it is found as a retry is, by the relay that owns its shard then.
//
// # Several subscribers
//
// A message is taken up in one statement with all of its deliveries. If some have not
// answered after a quarter of a second, it is taken up with what is known, and the others
// are written one by one as they end. Reading returns the version of the subscriptions, so
// that no message is routed by ones that are older than itself.
//
// # Many subscribers
//
// A message with many deliveries costs as much as many messages, and is counted so. It goes
// through a lane of its own (fanout.go): when it has been read for the first time, and has
// more deliveries than fit, it is put back, and read again by the lane's reader. If it has a
// key, the key is read again in its place, by the reader of keys. Its outcomes have a writer
// of their own. The order of a key does not depend on it: what is put back is read before
// anything behind it.
//
// # Jobs
//
// What a person asks for by filter is done by the owner of shard 0, in batches whose results
// and progress are part of the same transaction (sql.StepJob). It changes rows as a person
// would; what is due then comes by the due times, what is pending again is reported. A
// delivery that is sent again stands outside the order: its row has no key, and it enters no
// line. One that died where a dead message holds its key keeps it. The same goes for the
// deliveries of a message that had ended and is sent again as a whole.
//
// # Acknowledgements
//
// What a consumer says may come to any relay, and before anything of its delivery is
// written. It is stored in relay.ack under the lock of the message's row, and only then
// answered. The owner of the shard applies it through the writer, as an outcome like any
// other, when nothing of the delivery is under way. The writer of an outcome of such a
// delivery locks the message first and then looks into relay.ack: that the work succeeded
// outweighs whatever became of the attempt, or a last attempt whose answer was lost would
// bury what was done. An acknowledged delivery is not read to be sent again
// until that is applied, which after a change of owner may be later than it is due. What was accepted once never holds its key again.
//
// # Broadcast
//
// A message of a broadcast is taken up as one delivery without an instance, whose attempt
// looks the host name up. The outcome is the list of the instances, and the delivery is
// spread: in memory as long as the message is pending, else by one statement that puts the
// instances' rows in its place. A crash in between leaves either one, and the name is looked
// up again. In the order of a key that delivery is a gate: the next message of the key is
// looked up when the one before stands in the lines of its instances.
//
// # One row, and the others
//
// No row shares its fate with another. What fails for many is tried in halves until the culprit
// is alone, which then waits in the quarantine, longer each time. An outcome that cannot be written, because
// another session has locked its row or a trigger refuses it, keeps its entry, and is written by
// writers beside the ordinary ones; so is, for a minute, everything of its destination. Sending stops only if nothing
// at all can be written. Leases, outcomes and acknowledgements have connections of their own.
//
// # Unflushed rows
//
// Under asynchronous commit a row can be seen, be sent, and vanish in a crash. The stream
// shows only what is durable. Whatever was found by reading is registered only once the WAL
// is flushed as far as it was inserted when the row was seen. What has been read already is
// looked at once more when the WAL is flushed: it may be another server's WAL than the one
// that the row stood in, after a crash.
//
// # Crash here, and what happens
//
//	when the relay dies           what stands in the table   what happens next
//	after the ring                pending                    the slot may have been confirmed; a sweep finds it
//	after registering or reading  pending                    the same
//	before the request is sent    pending                    the same
//	after sending, no answer yet  pending                    sent again with the same id: a duplicate
//	after the answer              pending                    the same
//	while writing                 pending, or written        one statement: all of it or nothing
//	after writing                 ended, or due again        a ring from replayed WAL is forgotten
//	after a key's head ended      key_blocked behind it      the look at all lines after the start wakes it
//	after an acknowledgement      in relay.ack               the owner of the shard applies it
//	while awaiting one            awaiting_ack, with a time  pushed again when no word comes
//	while renewing its leases     its shards are leased      others take over when they have not changed for one ttl
//	frozen, and awake again       leased by another          its writes hit no row: the epoch has changed
//	the same, and leased again    open, maybe changed        of what began before, only what was accepted is written
//
// A stop by SIGTERM takes nothing more in, lets what is under way end, writes it, and
// releases each lease as soon as nothing of its shard is under way: nothing is sent twice.
package reconcile
