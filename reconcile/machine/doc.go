// Package machine decides everything about the messages of a group of shards: what is read, in
// which order it is sent, what is written, what waits, and for how long. It has no goroutines,
// locks, clock or I/O. [Machine.Step] takes one [Event] and returns the [Command]s to be carried
// out; a loop around it owns the machine and tells it what came of them. The same events in the
// same order lead to the same commands.
//
// The loop is that of the package relay/reconcile. The simulation in relay/reconcile/simulate holds the machine to what
// is said here.
//
// # What the machine owns
//
// A key belongs to one shard, and a shard to one machine. For each key that is in memory the
// machine holds the messages that were reported and that SQL does not show yet, the pending ones
// that were read, the deliveries under way, the outcomes that are being written, and what waits in
// the table. There is no other place to look.
//
//   - An entry is what is read and written as one: a pending message with all of its deliveries,
//     or one delivery of an open message.
//   - A queue is one key at one subscription and instance. One delivery of it is under way at a
//     time. One that the destination has accepted leaves the queue at once; one that has ended
//     otherwise leaves it when that is written.
//   - A destination is what shares health and concurrency: what relay.Delivery.Circuit names.
//
// # The prefix rule
//
// A message may not pass a message of its key with a lower sequence that SQL does not show yet or
// that is still under way. No message of a key starts while the table may hold one with a lower
// sequence that the machine does not know. What has left memory unsent, for want of room or with its shard, is such a
// message again.
//
// One snapshot shows whatever was committed before a row that it shows was inserted. So a read of
// a key from its lowest pending message makes all that it returns complete. A key that moves fast
// is read on behind its highest sequence instead. That is as good as long as the stream reports
// each commit, in their order: a row behind that sequence which was neither reported nor visible
// to the last read from the beginning ends what is taken, because another one with a lower
// sequence may have committed before it, and is reported first. Reports are lost when the stream
// breaks off, a shard changes its owner, or there is no room for one. Then each key is read from
// its beginning, until a read from the beginning shows that every transaction has ended whose
// report may have been lost. What becomes due is made an ordinary pending message by one
// statement; a read that ran beside it begins anew. As long as one of a key is due and is not made so yet, nothing of
// the key is taken.
//
// # Facts
//
// A report carries the id of its transaction, and each read the snapshot that it was made with. A
// message that was reported and is not there is gone if the snapshot shows the transaction.
// Otherwise SQL does not show it yet: it is looked for again, and holds its place meanwhile. Of the
// messages behind it nothing is taken that could not start. One whose sequence the report does not tell may be the
// lowest of its key.
//
// A row that the stream has not shown is sent only if the snapshot is durable: under asynchronous
// commit it could vanish in a crash of the server.
//
// # What waits in the table
//
// The read of a key shows its unfinished deliveries together with its pending messages. What has
// a higher sequence than something that waits in the table and is not in memory waits there, too.
// The machine looks again when what was before it has ended, when its time has come, or when its
// destination has room. A retry of a message with a key goes this way like everything else. Only a delivery that has
// been due for too long is ended wherever it stands; it holds its place until that is written.
//
// What has waited in memory for a second behind a message of its key is taken up as key_blocked,
// unless the queue moves. A delivery for which its destination has no room stays in memory, and is read again when
// there is room, as long as the destination works off what waits for it within two seconds; only for one that is slow,
// paused or down it is parked in the table. A burst to a healthy destination is thus written once.
//
// # Reading and sending
//
// An attempt begins within two seconds of the read that it stands on, and before the lease ends:
// each Send says until when. What is older than a second when its turn comes is read again. While
// nothing can be written nothing is read or sent.
//
// # Writing
//
// A message is taken up in one write with all of its deliveries. Those that have not ended after a
// quarter of a second go on as entries of their own, and are written one by one. A write that is
// not made is made again: soon if another session holds the row or no statement can be run, later
// and with fewer details if the database refuses it. It waits alone, and a destination with many of them is sent
// nothing more until some are written. A row that has changed is looked at anew. An outcome from before the shard was
// another relay's is written only if the destination accepted the message, or if the message is still pending.
//
// # Budgets
//
// What is in memory is bounded in deliveries and in bytes of rows. Messages with more than 16 deliveries hold at most
// one half of it, and those that find no room wait in their order. A destination may hold three
// times as much as is free, so that there is always room for another one. One half is the most
// that sweeps and parked deliveries may hold, and the last eighth is theirs alone. What finds no
// room is left to the table, and a sweep follows half a second later. What waits behind a
// message in its key gives way to it.
//
// # Crash here, and what happens
//
//	when the relay dies                what stands in the table    what happens next
//	after a report                     pending                     a sweep of the new owner finds it
//	after reading, or before sending   pending                     the same
//	after sending, no answer yet       pending or waiting          sent again with the same id: a duplicate
//	after the answer, before writing   pending or waiting          the same; what followed in its key, too
//	after writing a failure            push_failed, with a time    due at its time; its key is read first
//	before what is behind is parked    pending behind it           read with it, and parked by the new owner
//	after parking what is behind       key_blocked                 the same: the failure is pending before it
//	after writing an end               key_blocked behind it       the first sweep reads keys that wait, too
//	after due messages were released   pending                     a sweep finds them
//	frozen, and awake again            as another relay wrote it   no attempt begins: the lease has ended
//	the same, with an outcome          the same                    the write is fenced, or tells only what is true
//	answer to a write lost             pending or written          written again; the second one finds no row
package machine
