package main

import (
	"context"
	"io"
	"time"

	"relay/cdc"
	"relay/sql"
)

// StatusCmd is `relay status`.
type StatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run shows how relays, messages and deliveries stand, as the database knows it.
func (c StatusCmd) Run(ctx context.Context, app *App) error {
	config, _, err := app.Configure()
	if err != nil {
		return err
	}
	examiner, err := config.Database().Examine(ctx)
	if err != nil {
		return err
	}
	defer examiner.Conn.Close(context.WithoutCancel(ctx))
	s, err := readState(ctx, examiner, config)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(app.Stdout, s)
	}
	_, err = io.WriteString(app.Stdout, s.text())
	return err
}

// state is how a system stands.
type state struct {
	Schema   schemaState    `json:"schema"`
	Relays   []relayState   `json:"relays"`
	Slot     *slotState     `json:"slot,omitempty"` // only with RELAY_CAPTURE=stream
	Messages messageState   `json:"messages"`
	Waiting  []waitingState `json:"waiting"`
	// NextDueIn is how long it is until the first delayed message or retry is due, in
	// seconds; below 0: it is overdue; none: there is nothing.
	NextDueIn *float64    `json:"next_due_in_seconds,omitempty"`
	Dead      []deadState `json:"dead_by_subscription"`
}

type schemaState struct {
	Version int32 `json:"version"`
	Needed  int32 `json:"needed"` // by this program
}

type relayState struct {
	Name      string  `json:"name"`
	Version   string  `json:"version"`
	Streaming bool    `json:"streaming"`
	Shards    int     `json:"shards"`
	Expired   int     `json:"expired_shards"` // it fell silent, and nobody has taken them over yet
	SeenAgo   float64 `json:"seen_seconds_ago"`
}

type slotState struct {
	Name      string `json:"name"`
	Exists    bool   `json:"exists"`
	Reader    string `json:"reader,omitempty"`
	Flaw      string `json:"flaw,omitempty"`
	Confirmed int64  `json:"confirmed_lag_bytes"`
	Restart   int64  `json:"restart_lag_bytes"`
}

// messageState counts messages. The counts of what has not ended well stop at the limit.
type messageState struct {
	Limit         int     `json:"count_limit"`
	Pending       int     `json:"pending"`
	Delayed       int     `json:"delayed"` // pending too, but for later
	Open          int     `json:"open"`
	Dead          int     `json:"dead"`
	Rejected      int     `json:"rejected"`
	OldestPending float64 `json:"oldest_pending_seconds"`
	Done          *int64  `json:"done,omitempty"`      // only in a small table
	Cancelled     *int64  `json:"cancelled,omitempty"` // only in a small table
	// Rows is the statistics' guess at all messages, in a table too large to be counted.
	Rows *int64 `json:"rows_estimate,omitempty"`
}

type waitingState struct {
	Circuit string `json:"circuit"`
	Why     string `json:"why"`
	Count   int    `json:"count"`
	Error   string `json:"error,omitempty"`
}

type deadState struct {
	Subscription string `json:"subscription"`
	Count        int    `json:"count"`
	Error        string `json:"error,omitempty"`
}

func readState(ctx context.Context, examiner *sql.Examiner, config Config) (s state, err error) {
	schema, err := examiner.Schema(ctx)
	if err != nil {
		return s, err
	}
	s.Schema = schemaState{Version: schema.Version, Needed: schema.Needed}
	relays, err := examiner.RunningRelays(ctx)
	if err != nil {
		return s, err
	}
	s.Relays = []relayState{}
	for _, r := range relays {
		s.Relays = append(s.Relays, relayState{
			Name: r.Name, Version: r.Version, Streaming: r.Streaming, Shards: r.Shards, Expired: r.Expired, SeenAgo: r.Seen.Seconds(),
		})
	}
	if config.Capture == CaptureStream {
		if s.Slot, err = readSlot(ctx, examiner, config.Slot); err != nil {
			return s, err
		}
	}
	if s.Messages, err = readCounts(ctx, examiner); err != nil {
		return s, err
	}
	return s, s.readDeliveries(ctx, examiner)
}

func readSlot(ctx context.Context, examiner *sql.Examiner, name string) (*slotState, error) {
	slot, err := cdc.ExamineSlot(ctx, examiner.Conn, name)
	if err != nil {
		return nil, err
	}
	return &slotState{
		Name: name, Exists: slot.Exists, Reader: slot.Reader, Flaw: slot.Flaw.Why, Confirmed: slot.Lag.Confirmed, Restart: slot.Lag.Restart,
	}, nil
}

func readCounts(ctx context.Context, examiner *sql.Examiner) (messageState, error) {
	f, err := examiner.Messages(ctx)
	if err != nil {
		return messageState{}, err
	}
	ended, err := examiner.Ended(ctx)
	if err != nil {
		return messageState{}, err
	}
	m := messageState{
		Limit: sql.CountLimit, Pending: f.Pending, Delayed: f.Delayed, Open: f.Open, Dead: f.Dead, Rejected: f.Rejected,
		OldestPending: f.OldestPending.Seconds(),
	}
	if ended.Estimated {
		m.Rows = &ended.Rows
	} else {
		m.Done, m.Cancelled = &ended.Done, &ended.Cancelled
	}
	return m, nil
}

func (s *state) readDeliveries(ctx context.Context, examiner *sql.Examiner) error {
	waiting, err := examiner.WaitingDeliveries(ctx)
	if err != nil {
		return err
	}
	s.Waiting = []waitingState{}
	for _, w := range waiting {
		s.Waiting = append(s.Waiting, waitingState(w))
	}
	next, some, err := examiner.EarliestDue(ctx)
	if err != nil {
		return err
	}
	if some {
		seconds := (next.Round(time.Millisecond)).Seconds()
		s.NextDueIn = &seconds
	}
	dead, err := examiner.DeadBySubscription(ctx)
	if err != nil {
		return err
	}
	s.Dead = []deadState{}
	for _, d := range dead {
		s.Dead = append(s.Dead, deadState(d))
	}
	return nil
}
