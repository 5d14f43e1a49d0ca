package api

import (
	"context"
	"time"

	"relay/operate"
)

func (a *API) listFailures(ctx context.Context, in *listFailuresInput) (*Answer[Page[operate.FailureGroup]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	groups, err := service.Failures(ctx, in.State, in.Subscription, in.Cause)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if a.hides(callerOf(ctx).Identity) {
		for i := range groups {
			groups[i].Error = operate.WithoutAnswer(groups[i].Error)
		}
	}
	return whole(groups, began), nil
}

func (a *API) getFailure(ctx context.Context, in *failureInput) (*Answer[FailureSample], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	found, err := service.FailureSample(ctx, in.State, in.Subscription, in.Cause)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	sample := FailureSample{Sampled: found.Sampled, Patterns: found.Patterns, Messages: []MessageItem{}, Guide: found.Guide, AsOf: time.Now().UTC()}
	hidden := a.hides(callerOf(ctx).Identity)
	if len(found.Newest) > 0 {
		page, err := service.Messages(ctx, operate.Filter{IDs: found.Newest}, operate.At{Limit: len(found.Newest)}, searchTime)
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		item := a.itemFor(ctx)
		for _, m := range page.Items {
			sample.Messages = append(sample.Messages, item(m))
		}
		if sample.Answer, err = lastAnswer(ctx, service, found.Newest[0], in.Subscription); err != nil {
			return nil, a.failed(ctx, err)
		}
	}
	if hidden {
		sample.Answer = nil
		for i := range sample.Patterns {
			p := &sample.Patterns[i]
			p.Pattern, p.Example = operate.WithoutAnswer(p.Pattern), operate.WithoutAnswer(p.Example)
		}
	}
	return &Answer[FailureSample]{sample}, nil
}

// lastAnswer is what a receiver answered last for a message. Nil means that nothing is recorded.
func lastAnswer(ctx context.Context, service *operate.Service, id, subscription string) (*ReceiverAnswer, error) {
	m, err := service.Message(ctx, id, false)
	if operate.CodeOf(err) == operate.CodeNoMessage {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var last *ReceiverAnswer
	for _, t := range m.Attempts {
		if t.Subscription == subscription && len(t.Answer) > 0 {
			last = &ReceiverAnswer{MessageID: id, Code: t.ResponseCode, At: t.StartedAt, Response: t.Answer}
		}
	}
	return last, nil
}

func (a *API) setNote(ctx context.Context, in *noteInput) (*Answer[operate.FailureNote], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	note, err := service.SetNote(ctx, actor(ctx, ""), in.Body.Subscription, in.Body.Cause, in.Body.Text)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return &Answer[operate.FailureNote]{note}, nil
}

// routing holds the settings that decide, besides subscriptions, where the messages of a topic go.
func (a *API) routing() operate.Routing {
	return operate.Routing{Source: a.Settings.Source, Default: a.Settings.DefaultDestination != ""}
}

func (a *API) listSenders(ctx context.Context, in *listSendersInput) (*Answer[Page[operate.Sender]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	list, err := service.Senders(ctx, a.routing())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	for i := range list {
		list[i].SentTopics = []operate.SentTopic{}
	}
	start := 0
	for start < len(list) && in.After != "" && list[start].Source <= in.After {
		start++
	}
	page := whole(list[start:min(start+in.Limit, len(list))], began)
	if start+in.Limit < len(list) {
		page.Body.Next = list[start+in.Limit-1].Source
	}
	return page, nil
}

func (a *API) getSender(ctx context.Context, in *senderInput) (*Answer[operate.Sender], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	one, err := service.Sender(ctx, in.Source, a.routing())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return &Answer[operate.Sender]{one}, nil
}

func (a *API) getPulse(ctx context.Context, in *pulseInput) (*Answer[operate.Pulse], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	from, err := in.From.moment("from")
	if err != nil {
		return nil, err
	}
	to, err := in.To.moment("to")
	if err != nil {
		return nil, err
	}
	begin, end := operate.PulseSpan(from, to, time.Now())
	pulse, err := service.Pulse(ctx, in.Subscription, begin, end, time.Duration(in.Step)*time.Second)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return &Answer[operate.Pulse]{pulse}, nil
}

func (a *API) listAudit(ctx context.Context, in *listAuditInput) (*Answer[Page[operate.AuditEntry]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	f := operate.AuditFilter{Name: in.Name, Role: in.Role, Action: in.Action, Kind: in.Kind, Object: in.Object}
	if f.Since, err = in.Since.moment("since"); err != nil {
		return nil, err
	}
	if f.Until, err = in.Until.moment("until"); err != nil {
		return nil, err
	}
	found, err := service.Audit(ctx, f, in.at())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	page := pageOf(found, began, same[operate.AuditEntry])
	page.Body.Complete = true
	return page, nil
}
