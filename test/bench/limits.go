package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sync/errgroup"
)

// limits are the rates, per second, at which this machine does one step alone.
type limits struct {
	insert, drain, read, post, publish, write float64
}

// combined is the rate of a chain of steps that share the machine and waste nothing.
func combined(rates ...float64) float64 {
	var seconds float64
	for _, rate := range rates {
		seconds += 1 / rate
	}
	return 1 / seconds
}

func (l limits) http() float64 { return combined(l.insert, l.drain, l.read, l.post, l.write) }
func (l limits) amqp() float64 { return combined(l.insert, l.drain, l.read, l.publish, l.write) }

// batch is how many rows one statement reads or writes, and connections how many run at
// once, in the relay too.
const (
	batch       = 500
	connections = 2
)

// prepareLimits gives the database a slot and a publication like the relay's.
func (d *database) prepareLimits(ctx context.Context) error {
	_, err := d.admin.Exec(ctx, "create publication bench for table relay.outbox (id, key, deliver_at) with (publish = 'insert')")
	if err == nil {
		_, err = d.admin.Exec(ctx, "select pg_create_logical_replication_slot($1, 'pgoutput')", d.name)
	}
	return err
}

// measureLimits does each step alone with n messages. The database holds nothing else.
func (d *database) measureLimits(ctx context.Context, r *receiver, n, perTx int) (l limits, err error) {
	if _, err := d.admin.Exec(ctx, "truncate relay.outbox, relay.delivery, relay.attempt"); err != nil {
		return l, err
	}
	rate := func(step func() error) float64 {
		began := time.Now()
		if err == nil {
			err = step()
		}
		return float64(n) / time.Since(began).Seconds()
	}
	l.insert = rate(func() error { return d.insert(ctx, n, perTx, "") })
	var ids [][16]byte
	if err == nil {
		ids, l.drain, err = d.drain(ctx, n)
	}
	l.read = rate(func() error { return d.inBatches(ctx, ids, d.readBatch) })
	l.post = rate(func() error { return postAll(ctx, r.url, n) })
	l.publish = rate(func() error { return d.publishAll(ctx, n) })
	l.write = rate(func() error { return d.inBatches(ctx, ids, d.writeBatch) })
	return l, err
}

// drain reads n rows from the slot with the library alone, and returns their ids and the
// rate from the first row to the last.
func (d *database) drain(ctx context.Context, n int) (ids [][16]byte, rate float64, err error) {
	conn, err := pgconn.Connect(ctx, d.url+"&replication=database")
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	options := pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names 'bench'"}}
	if err := pglogrepl.StartReplication(ctx, conn, d.name, 0, options); err != nil {
		return nil, 0, err
	}
	var began time.Time
	var end pglogrepl.LSN
	for committed := 0; committed < n; {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, 0, err
		}
		data, ok := message.(*pgproto3.CopyData)
		if !ok || data.Data[0] != pglogrepl.XLogDataByteID {
			continue
		}
		if began.IsZero() {
			began = time.Now()
		}
		x, err := pglogrepl.ParseXLogData(data.Data[1:])
		if err != nil {
			return nil, 0, err
		}
		switch m, err := pglogrepl.Parse(x.WALData); m := m.(type) {
		case *pglogrepl.InsertMessage:
			id, err := idOf(m)
			if err != nil {
				return nil, 0, err
			}
			ids = append(ids, id)
		case *pglogrepl.CommitMessage:
			end, committed = m.TransactionEndLSN, len(ids)
		case nil:
			return nil, 0, err
		}
	}
	rate = float64(n) / time.Since(began).Seconds()
	return ids, rate, pglogrepl.SendStandbyStatusUpdate(ctx, conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: end, WALFlushPosition: end, WALApplyPosition: end,
	})
}

// idOf reads the first column, which is the message's id.
func idOf(m *pglogrepl.InsertMessage) (id [16]byte, err error) {
	text := bytes.ReplaceAll(m.Tuple.Columns[0].Data, []byte("-"), nil)
	if _, err = hex.Decode(id[:], text); err != nil {
		return id, fmt.Errorf("id of a streamed row: %w", err)
	}
	return id, nil
}

// inBatches calls do with all ids, in batches, on as many connections as the relay uses.
func (d *database) inBatches(ctx context.Context, ids [][16]byte, do func(context.Context, [][16]byte) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connections)
	for part := range slices.Chunk(ids, batch) {
		group.Go(func() error { return do(ctx, part) })
	}
	return group.Wait()
}

func (d *database) readBatch(ctx context.Context, ids [][16]byte) error {
	rows, err := d.admin.Query(ctx, `
		select o.id, o.seq, o.shard, o.topic, o.key, o.content_type, o.created_at, o.headers, o.payload
		from relay.outbox o where o.id = any ($1)`, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		rows.RawValues()
	}
	return rows.Err()
}

func (d *database) writeBatch(ctx context.Context, ids [][16]byte) error {
	_, err := d.admin.Exec(ctx, `
		with message as (
			update relay.outbox o set status = 'done', finished_at = clock_timestamp()
			where o.id = any ($1)
			returning o.id, o.created_at, o.shard, o.seq
		)
		insert into relay.delivery (message_id, subscription, target, circuit, status, attempts, delivered_at, handled_at, due_at, shard, seq)
		select id, 'default', 'http://127.0.0.1/', 'http://127.0.0.1', 'handled', 1, clock_timestamp(), clock_timestamp(), created_at, shard, seq
		from message`, ids)
	return err
}
