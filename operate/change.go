package operate

import (
	"context"
	"slices"

	"golang.org/x/time/rate"

	"relay"
	"relay/sql"
)

// Result is what a change did to one message.
type Result struct {
	ID     string     `json:"id"`
	Result sql.Effect `json:"result"`
	// OK says that the message is now as it was asked for.
	OK bool `json:"ok"`
	// Why says more about what was not changed. Empty means that nothing more is known.
	Why string `json:"why,omitempty"`
}

// String is the result in words.
func (r Result) String() string {
	if r.Why == "" {
		return string(r.Result)
	}
	return string(r.Result) + ": " + r.Why
}

// Change says which messages, given by their ids, are to be changed.
type Change struct {
	IDs []string
	// Subscription limits the change to one subscriber. Empty means all.
	Subscription string
	// Force sends also again what ended well; for a retry alone.
	Force bool
	Rate  float64 // messages per second, at most; zero: no limit
}

// Statuses from which messages may be retried or cancelled.
var (
	retryFrom  = []relay.MessageStatus{relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled}
	cancelFrom = []relay.MessageStatus{relay.MessagePending, relay.MessageOpen, relay.MessageDead, relay.MessageRejected}
)

// Retry sends messages again, with all of their attempts and all of their time; one that waits for its next attempt
// is due at once. If a subscription is given, only that subscription gets them. Results are told in the order of
// the ids, batch by batch.
func (s *Service) Retry(ctx context.Context, actor Actor, c Change, tell func([]Result) error) error {
	from := retryFrom
	if c.Force {
		from = append(slices.Clone(from), relay.MessageDone)
	}
	store := s.by(actor)
	return s.each(ctx, c, tell, func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error) {
		if c.Subscription != "" {
			return store.RetryDeliveries(ctx, ids, c.Subscription, c.Force)
		}
		return store.RetryMessages(ctx, ids, from)
	})
}

// Cancel cancels messages that have not ended well, with a subscription its deliveries alone. What is under way is
// not called back. Results are told in the order of the ids, batch by batch.
func (s *Service) Cancel(ctx context.Context, actor Actor, c Change, tell func([]Result) error) error {
	store := s.by(actor)
	return s.each(ctx, c, tell, func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error) {
		if c.Subscription != "" {
			return store.CancelDeliveries(ctx, ids, c.Subscription)
		}
		return store.CancelMessages(ctx, ids, cancelFrom)
	})
}

// Acknowledge notes that the consumer of the subscription has handled messages that it once accepted, as if it had said
// so itself. Results are told in the order of the ids, batch by batch.
func (s *Service) Acknowledge(ctx context.Context, actor Actor, c Change, tell func([]Result) error) error {
	if c.Subscription == "" {
		return invalid("subscription", "the subscription whose consumer has handled the messages is needed")
	}
	store := s.by(actor)
	return s.each(ctx, c, tell, func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error) {
		return store.AcknowledgeDeliveries(ctx, ids, c.Subscription)
	})
}

// Collect gathers the results of a change.
func Collect(results *[]Result) func([]Result) error {
	return func(batch []Result) error {
		*results = append(*results, batch...)
		return nil
	}
}

// changeFunc changes messages, and returns what became of each.
type changeFunc func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error)

// each changes the messages in batches, no faster than the rate.
func (s *Service) each(ctx context.Context, c Change, tell func([]Result) error, change changeFunc) error {
	ids, err := parseIDs(c.IDs)
	if err != nil {
		return err
	}
	if !(c.Rate >= 0) {
		return invalid("rate", "below 0")
	}
	size := changeBatch
	limiter := rate.NewLimiter(rate.Inf, size)
	if c.Rate > 0 {
		size = min(max(int(c.Rate/5), 1), size)
		limiter = rate.NewLimiter(rate.Limit(c.Rate), size)
	}
	for batch := range slices.Chunk(ids, size) {
		if err := limiter.WaitN(ctx, len(batch)); err != nil {
			return ctx.Err()
		}
		effects, err := insist(ctx, batch, change)
		if err != nil {
			return err
		}
		results := make([]Result, len(batch))
		for i, id := range batch {
			results[i] = Result{ID: id.String(), Result: effects[i], OK: effects[i].Succeeded()}
		}
		if err := s.explain(ctx, results, c.Subscription); err != nil {
			return err
		}
		if err := tell(results); err != nil {
			return err
		}
	}
	return nil
}

// explained bounds how many results of a batch are explained.
const explained = 20

// explain says of the first messages that had nothing to change how their deliveries have ended.
func (s *Service) explain(ctx context.Context, results []Result, subscription string) error {
	left := explained
	for i, r := range results {
		if left == 0 || r.Result != sql.EffectEndedWell && r.Result != sql.EffectNoDelivery {
			continue
		}
		left--
		sent, err := s.Await(ctx, r.ID, 0)
		if CodeOf(err) == CodeNoMessage {
			continue
		}
		if err != nil {
			return err
		}
		results[i].Why = sent.standing(subscription)
	}
	return nil
}

// insist changes messages, and tries those again whose rows another session holds, for a while.
func insist(ctx context.Context, ids []relay.ID, change changeFunc) ([]sql.Effect, error) {
	effects, err := change(ctx, ids)
	for try := 0; err == nil && try < lockedTries; try++ {
		var locked []relay.ID
		var at []int
		for i, e := range effects {
			if e == sql.EffectLocked {
				locked, at = append(locked, ids[i]), append(at, i)
			}
		}
		if len(locked) == 0 {
			break
		}
		if err := pause(ctx, lockedWait); err != nil {
			return effects, err
		}
		var again []sql.Effect
		again, err = change(ctx, locked)
		for i, e := range again {
			effects[at[i]] = e
		}
	}
	return effects, err
}

// parseIDs reads ids, each once.
func parseIDs(texts []string) (ids []relay.ID, err error) {
	if len(texts) == 0 {
		return nil, invalid("ids", "at least one is needed")
	}
	seen := make(map[relay.ID]bool, len(texts))
	for _, text := range texts {
		id, err := parseID("ids", text)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			ids = append(ids, id)
		}
		seen[id] = true
	}
	return ids, nil
}

// Copied is a message that was copied.
type Copied struct {
	ID string `json:"id"` // of the copy
	Of string `json:"relay_original_id"`
}

// Copy inserts a message of the same content under a new id, with a target of its own unless that is empty.
func (s *Service) Copy(ctx context.Context, actor Actor, id, destination string) (Copied, error) {
	original, err := parseID("id", id)
	if err != nil {
		return Copied{}, err
	}
	target := ""
	if destination != "" {
		parsed, err := relay.ParseTarget(destination)
		if err != nil {
			return Copied{}, invalid("destination", "%s", err)
		}
		target = parsed.Raw
	}
	copied, err := s.by(actor).CopyMessage(ctx, original, target)
	if err != nil {
		return Copied{}, err
	}
	return Copied{ID: copied.String(), Of: original.String()}, nil
}
