// Package reconcile brings every row of the outbox to an end: it hears of rows, reads them,
// has them sent, and writes what became of them.
//
// # The idea
//
// The loop owns everything that the relay knows of messages. One goroutine at a time has a turn with it, and tells
// the machine (relay/reconcile/machine) what has happened. The machine, which has no goroutines, locks, clock or I/O,
// answers with commands. Workers carry them out: they combine many commands into few statements, and turn the results
// into events. A doorbell says only that rows exist. What they are, and whether they are still due, is read from the
// table just before sending, so that there is one path for every message:
//
//	stream or NOTIFY ─┐
//	sweep, due time  ─┼─> machine ─> read ─> machine ─> send ─> machine ─> write ─> machine
//	parked, by hand  ─┘
//
// What is decided, and why, stands in the documentation of the machine; the simulation in relay/reconcile/simulate
// holds the machine to it. What follows is about the workers.
//
// # Four rules
//
// Tell the machine before you read. The machine holds what is in flight, bounded in deliveries and in bytes. What it
// knows already is not read a second time, so that no message is under way twice. What does not fit is left to the
// table.
//
// Read before you send. A row that is not pending any more is forgotten: that filters the
// WAL which a server sends again after a crash. A row that the stream shows and SQL cannot
// see yet is looked for again until a snapshot shows its transaction: if the row is not there then, it is gone.
// Nothing is sent that could not be read, and no attempt starts more than two seconds after a cancel or a pause was
// committed.
//
// Write before you forget. An outcome is in the table before the machine forgets the message, hence no sweep can find a
// message that has been sent. Writes are fenced by the lease rows, and skip rows that another session has locked; those
// stay in memory and are written later, without a new attempt.
//
// Confirm at hand-over. Ring returns as soon as the loop has the rows, which waits for nothing. The slot follows the
// WAL whatever endpoints do.
//
// # Workers
//
//	read.go, read_alone.go   rows by their ids, 500 in a statement; in halves if one cannot be read
//	read_key.go              what the table holds of keys, in one snapshot: pending messages, and what waits
//	loop.go                  attempts, which the dispatcher makes
//	writer.go, apart.go      outcomes; those that must not share a statement with the rest
//	sweep.go, due.go         what was left to the table, and what has become due
//	parked.go                what waits for its destination
//	ack.go                   what consumers say
//	ring.go                  what the doorbell shows, here or by NOTIFY
//	subscriptions.go         what the router knows
//	overdue.go, orphans.go   what is given up, and what has lost its message
//	shards.go                what the machine is told of leases
//
// wire.go makes the workers, and hands each command to the one that it is for.
//
// What has a purpose of its own is a package of its own, which the engine wires and which knows neither the engine nor
// the machine:
//
//	relay/lease              which shards this relay owns
//	relay/notice             ids that arrive by NOTIFY, and rows that other relays are told of
//	relay/quarantine         rows that cannot be read, changed or removed
//	relay/jobs               what people asked for by filter
//	relay/retention          the removal of what has been kept long enough
//	relay/pulse              what is counted, minute by minute and in the metrics
//	relay/trouble            which operations fail at present
//
// # Jobs
//
// What a person asks for by filter is done by the owner of shard 0, in batches whose results
// and progress are part of the same transaction (relay/jobs). It changes rows as a person
// would; what is due then comes by the due times, what is pending again is told to the machine. A
// delivery that is sent again stands outside the order: its row has no key. One that died where a dead message holds
// its key keeps it. The same goes for the deliveries of a message that had ended and is sent again as a whole.
//
// # Acknowledgements
//
// What a consumer says may come to any relay, and before anything of its delivery is
// written. It is stored in relay.ack under the lock of the message's row, and only then
// answered. The owner of the shard applies it as an outcome like any
// other, when nothing of the delivery is under way. The writer of an outcome of such a
// delivery locks the message first and then looks into relay.ack: that the work succeeded
// outweighs whatever became of the attempt, or a last attempt whose answer was lost would
// bury what was done. An acknowledged delivery is not read to be sent again
// until that is applied, which after a change of owner may be later than it is due. What was accepted once never holds
// its key again.
//
// # One row, and the others
//
// No row shares its fate with another. What fails for many is tried in halves until the culprit
// is alone, which then waits in the quarantine, longer each time. An outcome that cannot be written, because
// another session has locked its row or a trigger refuses it, stays in memory, and is written by
// writers beside the ordinary ones; so is, for a minute, everything of its destination. Sending stops only if nothing
// at all can be written. Leases, outcomes and acknowledgements have connections of their own.
//
// # Unflushed rows
//
// Under asynchronous commit a row can be seen, be sent, and vanish in a crash. The stream
// shows only what is durable. Whatever else is read is handed to the machine only once the WAL
// is flushed as far as it was inserted when the row was seen, and the row is still there: it may be another server's
// WAL than the one that the row stood in, after a crash.
//
// # Crash here, and what happens
//
// The machine's own table has each of its steps.
//
//	when the relay dies           what stands in the table   what happens next
//	after the ring                pending                    the slot may have been confirmed; a sweep finds it
//	while writing                 pending, or written        one statement: all of it or nothing
//	after writing                 ended, or due again        a ring from replayed WAL is forgotten
//	after an acknowledgement      in relay.ack               the owner of the shard applies it
//	while awaiting one            awaiting_ack, with a time  pushed again when no word comes
//	while renewing its leases     its shards are leased      others take over when they have not changed for one ttl
//	frozen, and awake again       leased by another          its writes hit no row: the epoch has changed
//
// A stop by SIGTERM takes nothing more in, lets what is under way end, writes it, and
// releases each lease as soon as nothing of its shard is under way: nothing is sent twice.
package reconcile
