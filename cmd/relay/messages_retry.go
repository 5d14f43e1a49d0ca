package main

import (
	"context"
	"errors"

	"relay"
	"relay/sql"
)

// MessagesRetryCmd is `relay messages retry`.
type MessagesRetryCmd struct {
	choice
	Force bool `name:"force" help:"Send also again what ended well (done)."`
}

// Validate judges what may be retried. It is called by kong.
func (c MessagesRetryCmd) Validate() error {
	switch {
	case c.Status == relay.MessagePending:
		return errors.New("--status pending: these go by themselves")
	case c.Status == relay.MessageDone && !c.Force:
		return errors.New("--status done: these ended well; --force sends them again")
	}
	return c.choice.forOne().Validate()
}

// Run sends messages again, with all of their attempts and all of their time; one that waits
// for its next attempt is due at once. With a subscription nobody else gets them.
func (c MessagesRetryCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	from := []relay.MessageStatus{relay.MessageOpen, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled}
	if c.Force {
		from = append(from, relay.MessageDone)
	}
	return c.run(ctx, app, store, sql.JobRetry, func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error) {
		if c.Subscription != "" {
			return store.RetryDeliveries(ctx, ids, c.Subscription, c.Force)
		}
		return store.RetryMessages(ctx, ids, from)
	})
}

// MessagesCancelCmd is `relay messages cancel`.
type MessagesCancelCmd struct{ choice }

// Validate judges what may be cancelled. It is called by kong.
func (c MessagesCancelCmd) Validate() error {
	if c.Status == relay.MessageDone || c.Status == relay.MessageCancelled {
		return errors.New("--status " + string(c.Status) + ": these have ended")
	}
	return c.choice.forOne().Validate()
}

// Run cancels messages that have not ended well, with a subscription its deliveries alone.
// What is under way is not called back.
func (c MessagesCancelCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	from := []relay.MessageStatus{relay.MessagePending, relay.MessageOpen, relay.MessageDead, relay.MessageRejected}
	return c.run(ctx, app, store, sql.JobCancel, func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error) {
		if c.Subscription != "" {
			return store.CancelDeliveries(ctx, ids, c.Subscription)
		}
		return store.CancelMessages(ctx, ids, from)
	})
}
