// Package cdc is the doorbell: it says that rows of relay.outbox were committed, and nothing else.
// The sink that hears the bell reads from the table what a row holds and whether it is still due.
// So the bell may ring twice, late, or for a row that is long done, and it may fail altogether: a
// sweep of the table finds the rows that it did not ring.
//
// There are two. [Stream] hears commits over logical replication; [Listener] hears the
// trigger of RELAY_CAPTURE=notify, or another relay, over LISTEN. Both ring for a sink,
// supervise themselves, and say in one line why they cannot be heard.
//
// What arrives by NOTIFY is a hint and no more, since every role that can connect to the
// database can send it. It is passed on at a limited rate, with the process of the server that
// sent it, and the sink says whom it heeds. A payload that no relay wrote is counted and ignored.
//
// # The stream
//
// A session goes like this. It reads the server's settings and the publication, which it
// makes or repairs: inserts of relay.outbox, columns id, key, deliver_at, seq. It looks at the
// slot and clears what stands in the way. It connects for replication, makes the slot if
// there is none, starts at 0/0, which means where the slot stands, calls Missed, and pumps.
//
// One goroutine owns the replication connection and alone reads and writes it. A second
// calls the sink, so that a slow call does not keep the first from telling the server that
// we are alive. A third has an ordinary connection: it sends heartbeats, measures the lag
// and looks at the catalogue, since a table that was dropped or taken out of the publication
// makes the stream silent without an error. On that connection it also hears what people
// have changed by hand (ChannelChanged), which a stream of inserts does not show.
//
// # What is confirmed, and when
//
// When the stream confirms a position, the server may remove the WAL before it. The rule is:
// confirm at hand-over. When Ring has returned for the last row of a transaction, its rows are
// registered or deliberately left to the table, and the end of the transaction (not the position
// of its commit record, which would bring it again) is safe. The stream never waits for a
// destination, so no destination holds back WAL.
//
// When no transaction is under way the server's own position, which each keepalive
// carries, is safe too: before it lie only writes to other tables. Without this rule the
// slot of a quiet outbox in a busy database would never advance, and a server that shuts
// down would wait for us. Within a transaction keepalives confirm nothing.
//
// A status carries the safe position as written, flushed and applied. It is sent at once
// when the server asks for it, else at most ten times a second while there is something
// new, else a few times a minute with a request for an answer: three requests without a
// word mean a half-open connection.
//
// No position is kept in memory over sessions or on disk. After a crash of the server its
// slot may stand further back than it had confirmed, and after a promotion positions may be
// smaller than before; starting at 0/0 is right in both cases, and replayed rows are
// filtered by reading the table.
//
// # Heartbeats
//
// A heartbeat is a small logical message that belongs to no transaction. It lets an idle
// database's slot advance. It also proves hearing: a row visible before the heartbeat was sent was
// committed before it in the WAL, so when the stream has passed the heartbeat (State.HeardAt) it
// has passed the row. The stream passes a heartbeat by position; it does not ask for the content
// of logical messages, since other programs may write logical messages of any size.
//
// Just before each heartbeat the relay commits a canary: a row that is inserted into relay.outbox
// and deleted in one transaction. No snapshot ever holds it, so no statement has to leave it out,
// and nothing has to be removed; the stream shows its insert all the same. If the stream passes
// the heartbeat and has not shown the canary, it is blind, whatever the reason and whatever else
// is inserted meanwhile. If a canary cannot be inserted, the stream reports the reason; this
// proves nothing about the stream itself.
//
// # When the slot is replaced
//
// A slot costs nothing but a sweep, so whatever is wrong with it is mended by a new one: its
// WAL is gone; it is older than the publication, in which case servers before 18 can never
// decode what lies between (SQLSTATE 42704 in mid-stream; 18 passes over it in silence);
// sessions end with an error at the same position three times; or the stream does not show a
// canary. The last two are suspicions and cost a slot once in 5 minutes at most. Making a
// slot waits for every transaction that is writing; meanwhile State names it.
//
// # Crash here → what happens
//
//	where                                      what happens
//	after the publication is made, before      the older slot cannot decode what was written
//	  the slot is replaced                       before; the first session fails with 42704,
//	                                             the next replaces the slot
//	while the slot is being made               the server finishes or forgets it when the
//	                                             transactions it waits for have ended; until
//	                                             then the next start says that it is held
//	after the slot is made, before streaming   nothing: the slot keeps WAL, Missed sweeps
//	rows received, not handed over             the transaction comes again
//	handed over, not confirmed                 it comes again; done rows are filtered by
//	                                             reading the table
//	confirmed, not delivered                   what was in memory is lost; Missed sweeps at the start
//	in the midst of a large transaction        it comes again from its first row
//	the server crashes                         the slot may rewind: rows come again
//	the server is promoted without the slot    a new slot, then a sweep
//	the relay freezes                          its walsender holds the slot until
//	                                             wal_sender_timeout, or until another relay
//	                                             with Steal ends it
package cdc
