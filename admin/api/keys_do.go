package api

import (
	"context"
	"time"

	"relay/operate"
)

func (a *API) listKeys(ctx context.Context, in *listKeysInput) (*Answer[Page[BlockedKey]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	found, err := service.Keys(ctx, in.Subscription, in.at())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	hidden := a.hides(callerOf(ctx).Identity)
	page := pageOf(found, began, func(k operate.Key) BlockedKey {
		head := KeyHead{
			MessageID: k.MessageID, Status: string(k.Status), Reason: string(k.Reason), Attempts: k.Attempts, NextAttemptAt: k.NextAttemptAt,
			Cause: string(k.Cause), Error: k.LastError,
		}
		if hidden {
			head.Error = operate.WithoutAnswer(head.Error)
		}
		return BlockedKey{Subscription: k.Subscription, Instance: k.Instance, Key: k.Key, Head: head, Since: k.Since, Waiting: k.Waiting}
	})
	page.Body.Complete = true // no search: the list goes on at next
	return page, nil
}

func (a *API) skipKeys(ctx context.Context, in *changeKeysInput) (*Answer[KeyResults], error) {
	return a.changeKeys(ctx, in, (*operate.Service).SkipKey)
}

func (a *API) retryKeys(ctx context.Context, in *changeKeysInput) (*Answer[KeyResults], error) {
	return a.changeKeys(ctx, in, (*operate.Service).RetryKey)
}

type changeKeyFunc func(*operate.Service, context.Context, operate.Actor, string, string) ([]operate.HeadResult, error)

func (a *API) changeKeys(ctx context.Context, in *changeKeysInput, change changeKeyFunc) (*Answer[KeyResults], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	all := KeyResults{Results: []KeyResult{}}
	for _, key := range in.Body.Keys {
		heads, err := change(service, ctx, actor(ctx, in.Body.Reason), in.Body.Subscription, key)
		switch {
		case operate.CodeOf(err) == operate.CodeNoKey:
			all.add(KeyResult{Key: key, Effect: "not_waiting"})
		case err != nil:
			return nil, a.failed(ctx, err)
		}
		for _, h := range heads {
			effect, detail := effectOf(string(h.Result))
			all.add(KeyResult{Key: key, Instance: h.Instance, MessageID: h.MessageID, Effect: effect, Succeeded: h.OK, Detail: detail})
		}
	}
	all.AsOf = time.Now().UTC()
	return &Answer[KeyResults]{all}, nil
}

func (all *KeyResults) add(r KeyResult) {
	all.Results = append(all.Results, r)
	if r.Succeeded {
		all.Succeeded++
	} else {
		all.Failed++
	}
}
