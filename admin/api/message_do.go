package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"relay"
	"relay/operate"
)

func (a *API) getMessage(ctx context.Context, in *messageInput) (*Answer[Message], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	found, err := service.Message(ctx, in.ID, false)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	trace, err := service.Trace(ctx, in.ID)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if a.hides(callerOf(ctx).Identity) {
		found.HidePayloads()
	}
	found.Counts = countByStatus(found.Deliveries)
	found.Tried = 0
	for _, d := range found.Deliveries {
		found.Tried += d.Attempts
		if d.Status == "dead" || found.Cause == "" {
			found.Cause = d.Cause
		}
	}
	m := Message{
		MessageItem: newItem(found.Message), Shard: int(found.Shard), ContentType: found.ContentType, Binary: found.Binary,
		Hidden: found.PayloadsHidden, Headers: []Header{}, HeadersCut: found.HeadersTooLarge && !found.PayloadsHidden,
		Deliveries: []Delivery{}, Attempts: []Attempt{}, Timeline: found.Timeline(),
		Previous: trace.Previous, Next: trace.Next, OriginalID: trace.OriginalID, Copies: trace.Copies, Jobs: trace.Jobs,
	}
	for _, name := range slices.Sorted(maps.Keys(found.Headers)) {
		m.Headers = append(m.Headers, Header{name, found.Headers[name]})
	}
	for _, d := range found.Deliveries {
		m.Deliveries = append(m.Deliveries, newDelivery(operate.ListedDelivery{Delivery: d, MessageID: m.ID, Topic: m.Topic, Key: m.Key, CreatedAt: m.CreatedAt}))
	}
	for _, t := range found.Attempts {
		m.Attempts = append(m.Attempts, Attempt{
			Subscription: t.Subscription, Instance: t.Instance, Attempt: t.Attempt, StartedAt: t.StartedAt, DurationMS: t.DurationMS,
			Outcome: string(t.Outcome), Code: t.ResponseCode, Cause: string(t.Cause), Error: t.Error, Response: t.Answer,
		})
	}
	return &Answer[Message]{m}, nil
}

func countByStatus(deliveries []operate.Delivery) []StatusCount {
	counts := map[string]int64{}
	for _, d := range deliveries {
		counts[string(d.Status)]++
	}
	list := []StatusCount{}
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, StatusCount{Status: status, N: counts[status]})
	}
	return list
}

// newDelivery is a delivery as the API shows it.
func newDelivery(d operate.ListedDelivery) Delivery {
	shown := Delivery{
		MessageID: d.MessageID, Subscription: d.Subscription, Instance: d.Instance, Target: d.Target, Status: string(d.Status),
		Stage: string(operate.DeliveryStage(d.Status, d.Cause)), Reason: string(d.Reason), Topic: d.Topic, Key: d.Key,
		CreatedAt: d.CreatedAt, DueAt: d.DueAt, Attempts: d.Delivery.Attempts, HandleAttempts: d.HandleAttempts, NextAttemptAt: d.NextAttemptAt,
		Code: d.ResponseCode, Cause: string(d.Cause), Error: d.LastError, DeliveredAt: d.DeliveredAt, HandledAt: d.HandledAt,
		LastDurationMS: d.LastDurationMS,
	}
	if d.UpdatedAt != nil {
		shown.UpdatedAt = *d.UpdatedAt
	}
	return shown
}

// payloadMost bounds what is read of a payload at once, whatever the row holds.
const payloadMost = 64 << 20

func (a *API) getPayload(ctx context.Context, in *payloadInput) (*payloadOutput, error) {
	if a.hides(callerOf(ctx).Identity) {
		return nil, problem(http.StatusForbidden, codeHidden, "Payloads are hidden from viewers.", "RELAY_HIDE_PAYLOADS is set. Sign in with RELAY_ADMIN_TOKEN.")
	}
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	p, err := service.Payload(ctx, in.ID, max(a.Settings.MaxPayload, payloadMost))
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	body := p.Body
	if in.First > 0 && in.First < int64(len(body)) {
		body = body[:in.First]
	}
	return &payloadOutput{
		ContentType: "application/octet-stream", Disposition: `attachment; filename="` + in.ID + `"`, Original: headerText(p.ContentType),
		Size: strconv.Itoa(len(p.Body)), Body: body,
	}, nil
}

// headerText is a text as a header can hold it.
func headerText(text string) string {
	for _, r := range text {
		if r < 0x20 || r > 0x7e {
			return strconv.QuoteToASCII(text)
		}
	}
	return text
}

func (a *API) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*Answer[Page[Delivery]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	own, _, err := Filter{Since: in.Since, Until: in.Until, Status: nil, DeliveryStatus: in.Status, Cause: in.Cause}.operate()
	if err != nil {
		return nil, err
	}
	found, err := service.Deliveries(ctx, operate.DeliveryFilter{
		Subscription: in.Name, Status: own.DeliveryStatus, Stage: operate.Stage(in.Stage), Reason: relay.Reason(in.Reason), Causes: own.Causes,
		Topic: in.Topic, Key: in.Key, Code: in.Code, Since: own.Since, Until: own.Until,
	}, in.at())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	hidden := a.hides(callerOf(ctx).Identity)
	page := pageOf(found, began, func(d operate.ListedDelivery) Delivery {
		shown := newDelivery(d)
		if hidden {
			shown.Error = operate.WithoutAnswer(shown.Error)
		}
		return shown
	})
	if !page.Body.Complete {
		page.Body.NarrowBy = []string{"key", "status", "since"}
	}
	return page, nil
}

func (a *API) listInstances(ctx context.Context, in *subscriptionInput) (*Answer[Page[operate.Instance]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	list, err := service.Instances(ctx, in.Name)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if a.hides(callerOf(ctx).Identity) {
		for i := range list {
			list[i].Error = operate.WithoutAnswer(list[i].Error)
		}
	}
	return whole(list, began), nil
}

func (a *API) retryDeliveries(ctx context.Context, in *changeDeliveriesInput) (*Answer[Results], error) {
	return a.changeMany(ctx, in.Body.IDs, in.Body.change(), (*operate.Service).Retry)
}

func (a *API) cancelDeliveries(ctx context.Context, in *changeDeliveriesInput) (*Answer[Results], error) {
	return a.changeMany(ctx, in.Body.IDs, in.Body.change(), (*operate.Service).Cancel)
}

func (c ChangeDeliveries) change() Change {
	return Change{Subscription: c.Subscription, Force: c.Force, Reason: c.Reason}
}

func (a *API) acknowledge(ctx context.Context, in *acknowledgeInput) (*Answer[Results], error) {
	return a.changeMany(ctx, in.Body.IDs, Change{Subscription: in.Body.Subscription, Reason: in.Body.Reason}, (*operate.Service).Acknowledge)
}
