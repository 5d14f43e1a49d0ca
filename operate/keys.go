package operate

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Key is a key that waits at one subscriber and instance, with the message at its head.
type Key struct {
	Subscription  string               `json:"subscription"`
	Instance      string               `json:"instance,omitempty"` // as relay.ShownTarget has it
	Key           string               `json:"key"`
	MessageID     string               `json:"message_id"` // at the head
	Status        relay.DeliveryStatus `json:"status"`
	Reason        relay.Reason         `json:"reason,omitempty"`
	Since         time.Time            `json:"since"` // the head died, or was due first
	NextAttemptAt *time.Time           `json:"next_attempt_at,omitempty"`
	LastError     string               `json:"last_error,omitempty"`
	Waiting       Count                `json:"waiting"` // behind the head
}

// KeyLimit is the most keys that one page may have.
const KeyLimit = sql.CountLimit

// Keys lists the keys that wait at a subscription, or at any if the name is empty, by subscription and key.
func (s *Service) Keys(ctx context.Context, subscription string, at At) (Page[Key], error) {
	most, err := at.limit(KeyLimit)
	if err != nil {
		return Page[Key]{}, err
	}
	list, err := s.store.HeldKeys(ctx, subscription, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[Key]{}, cursorError(err)
	}
	var items []Key
	for _, k := range list.Keys {
		items = append(items, Key{
			Subscription: k.Subscription, Instance: relay.ShownTarget(k.Instance), Key: k.Key, MessageID: k.Message.String(), Status: k.Status,
			Reason: relay.Reason(k.Reason), Since: k.Since.UTC(), NextAttemptAt: utc(k.NextAttempt), LastError: k.Error,
			Waiting: upTo(k.Waiting, sql.KeyWaitLimit),
		})
	}
	return newPage(items, string(list.Next)), nil
}

// HeadResult is what a change did to the head of a key at one instance.
type HeadResult struct {
	MessageID string     `json:"message_id"`
	Instance  string     `json:"instance,omitempty"` // as relay.ShownTarget has it
	Result    sql.Effect `json:"result"`
	OK        bool       `json:"ok"`
}

// SkipKey cancels the dead message that blocks a key at a subscription, so that the key goes on. There is one result
// for each instance at which the key waits.
func (s *Service) SkipKey(ctx context.Context, actor Actor, subscription, key string) ([]HeadResult, error) {
	return changeHeads(ctx, subscription, key, s.by(actor).SkipHeads)
}

// RetryKey sends the message at the head of a key again: a dead one with all of its attempts and all of its time,
// any other at once.
func (s *Service) RetryKey(ctx context.Context, actor Actor, subscription, key string) ([]HeadResult, error) {
	return changeHeads(ctx, subscription, key, s.by(actor).RetryHeads)
}

type changeHeadsFunc func(ctx context.Context, subscription, key string) ([]sql.HeadChange, error)

// changeHeads changes the heads of a key, and tries again for a while where another session holds the row of each.
// Where one was changed it is not tried again: behind it there may be another head.
func changeHeads(ctx context.Context, subscription, key string, change changeHeadsFunc) ([]HeadResult, error) {
	if err := storable("key", key); err != nil {
		return nil, err
	}
	if subscription == "" {
		return nil, invalid("subscription", "the subscriber at which the key waits is needed")
	}
	for try := 0; ; try++ {
		changes, err := change(ctx, subscription, key)
		if err != nil {
			return nil, err
		}
		free := slices.ContainsFunc(changes, func(c sql.HeadChange) bool { return c.Effect != sql.EffectLocked })
		if len(changes) == 0 {
			return nil, refused(CodeNoKey, nil, "key %s does not wait at %s", quote(key), quote(subscription))
		}
		if free || try == lockedTries {
			return newHeadResults(changes), nil
		}
		if err := pause(ctx, lockedWait); err != nil {
			return nil, err
		}
	}
}

func newHeadResults(changes []sql.HeadChange) (results []HeadResult) {
	for _, c := range changes {
		results = append(results, HeadResult{MessageID: c.Message.String(), Instance: relay.ShownTarget(c.Instance), Result: c.Effect, OK: c.Effect.Succeeded()})
	}
	return results
}
