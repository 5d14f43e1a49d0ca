package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"relay/operate"
)

// Time that a request may search and count.
const (
	searchTime = 150 * time.Millisecond
	countTime  = time.Second
)

func (a *API) listMessages(ctx context.Context, in *listMessagesInput) (*Answer[Page[MessageItem]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	f, stage, err := a.filter(ctx, in.Filter)
	if err != nil {
		return nil, err
	}
	found, err := service.MessagesAt(ctx, f, stage, in.at(), searchTime)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	page := pageOf(found, began, a.itemFor(ctx))
	if !page.Body.Complete {
		page.Body.NarrowBy = in.narrowBy()
	}
	return page, nil
}

// filter reads a filter, which may not look into what is hidden from the caller.
func (a *API) filter(ctx context.Context, f Filter) (operate.Filter, operate.Stage, error) {
	if (f.Text != "" || f.Error != "") && a.hides(callerOf(ctx).Identity) {
		return operate.Filter{}, "", problem(http.StatusForbidden, codeHidden, "Viewers may not search in payloads and errors here.",
			"RELAY_HIDE_PAYLOADS is set. Search by key, topic or cause.")
	}
	return f.operate()
}

// itemFor returns what makes an item of a list for the caller.
func (a *API) itemFor(ctx context.Context) func(operate.Message) MessageItem {
	hidden := a.hides(callerOf(ctx).Identity)
	return func(m operate.Message) MessageItem {
		item := newItem(m)
		if hidden {
			item.Error = operate.WithoutAnswer(item.Error)
		}
		return item
	}
}

func newItem(m operate.Message) MessageItem {
	item := MessageItem{
		ID: m.ID, Seq: m.Seq, Status: string(m.Status), Stage: string(m.Stage()), NeedsPerson: m.NeedsPerson(), Topic: m.Topic, Key: m.Key,
		Source: m.Source, Destination: m.Destination, CreatedAt: m.CreatedAt, DeliverAt: m.DeliverAt, FinishedAt: m.FinishedAt,
		Size: m.SizeBytes, Tried: m.Tried, Cause: string(m.Cause), Error: m.LastError, Progress: DeliverySummary{ByStatus: m.Counts},
	}
	for _, c := range m.Counts {
		item.Progress.Total += int(c.N)
		if c.Status == "handled" || c.Status == "delivered" {
			item.Progress.Well += int(c.N)
		}
	}
	return item
}

func (a *API) countMessages(ctx context.Context, in *countMessagesInput) (*Answer[MessageCount], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	f, stage, err := a.filter(ctx, in.Filter)
	if err != nil {
		return nil, err
	}
	found, err := service.Count(ctx, f, stage, countTime)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	count := MessageCount{
		Count: found.Count, ByStatus: found.ByStatus, Complete: found.Count.Precision != operate.AtLeast, AsOf: time.Now().UTC(), TookMS: took(began),
	}
	if !count.Complete {
		count.NarrowBy = in.narrowBy()
	}
	return &Answer[MessageCount]{count}, nil
}

func (a *API) insertMessage(ctx context.Context, in *insertMessageInput) (*insertedOutput, error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	b := in.Body
	d := operate.Draft{
		ID: b.ID, Topic: b.Topic, Key: b.Key, Payload: b.Payload, Body: b.Body, ContentType: b.ContentType, Headers: b.Headers,
		Source: b.Source, Destination: b.Destination,
	}
	if b.DeliverAt != nil {
		if year := b.DeliverAt.Year(); year < 1970 || year > 9999 {
			return nil, wrong("deliver_at", "a year from 1970 to 9999 is needed")
		}
		d.DeliverAt = *b.DeliverAt
	}
	if b.Delay != "" {
		var span operate.Span
		if err := span.UnmarshalText([]byte(b.Delay)); err != nil {
			return nil, wrong("delay", "a time span above 0 is needed, as 90s or 2h")
		}
		d.Delay = time.Duration(span)
	}
	sent, repeated, err := service.Insert(ctx, actor(ctx, b.Reason), d, in.IdempotencyKey)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return inserted(sent.ID, "", repeated, http.StatusCreated), nil
}

// inserted answers that a message was made, or had been.
func inserted(id, original string, repeated bool, status int) *insertedOutput {
	if repeated {
		status = http.StatusOK
	}
	return &insertedOutput{
		Status: status, Location: Prefix + "/messages/" + id, Body: Inserted{ID: id, OriginalID: original, Created: !repeated},
	}
}

func (a *API) retryMessages(ctx context.Context, in *changeManyInput) (*Answer[Results], error) {
	return a.changeMany(ctx, in.Body.IDs, in.Body.Change, (*operate.Service).Retry)
}

func (a *API) cancelMessages(ctx context.Context, in *changeManyInput) (*Answer[Results], error) {
	return a.changeMany(ctx, in.Body.IDs, in.Body.Change, (*operate.Service).Cancel)
}

type changeFunc func(*operate.Service, context.Context, operate.Actor, operate.Change, func([]operate.Result) error) error

func (a *API) changeMany(ctx context.Context, ids []string, c Change, change changeFunc) (*Answer[Results], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	var results []operate.Result
	wanted := operate.Change{IDs: ids, Subscription: c.Subscription, Force: c.Force}
	if err := change(service, ctx, actor(ctx, c.Reason), wanted, operate.Collect(&results)); err != nil {
		return nil, a.failed(ctx, err)
	}
	return newResults(results), nil
}

func newResults(list []operate.Result) *Answer[Results] {
	all := Results{Results: []Result{}, AsOf: time.Now().UTC()}
	for _, r := range list {
		all.Results = append(all.Results, newResult(r))
		if r.OK {
			all.Succeeded++
		} else {
			all.Failed++
		}
	}
	return &Answer[Results]{all}
}

func newResult(r operate.Result) Result {
	effect, detail := effectOf(string(r.Result))
	if r.Why != "" {
		detail = r.Why
	}
	return Result{ID: r.ID, Effect: effect, Succeeded: r.OK, Detail: detail}
}

// effectOf writes an effect as one word, and what it says after a colon.
func effectOf(text string) (effect, detail string) {
	effect, detail, _ = strings.Cut(text, ": ")
	return strings.ReplaceAll(effect, " ", "_"), detail
}

func (a *API) retryMessage(ctx context.Context, in *changeInput) (*Answer[Result], error) {
	return a.changeOne(ctx, in, (*operate.Service).Retry)
}

func (a *API) cancelMessage(ctx context.Context, in *changeInput) (*Answer[Result], error) {
	return a.changeOne(ctx, in, (*operate.Service).Cancel)
}

func (a *API) changeOne(ctx context.Context, in *changeInput, change changeFunc) (*Answer[Result], error) {
	var c Change
	if in.Body != nil {
		c = *in.Body
	}
	results, err := a.changeMany(ctx, []string{in.ID}, c, change)
	if err != nil {
		return nil, err
	}
	one := results.Body.Results[0]
	if one.Effect == "not_found" {
		return nil, a.failed(ctx, &operate.Error{Code: operate.CodeNoMessage, Text: "There is no such message."})
	}
	return &Answer[Result]{one}, nil
}

func (a *API) copyMessage(ctx context.Context, in *copyInput) (*insertedOutput, error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	var c Copy
	if in.Body != nil {
		c = *in.Body
	}
	copied, err := service.Copy(ctx, actor(ctx, c.Reason), in.ID, c.Destination)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return inserted(copied.ID, copied.Of, false, http.StatusCreated), nil
}
