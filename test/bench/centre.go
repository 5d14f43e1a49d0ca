package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relay"
	"relay/sql"
)

// What people are to wait for at the most.
const (
	wantedPage   = 200 * time.Millisecond
	wantedOne    = 50 * time.Millisecond
	wantedGroups = 100 * time.Millisecond
	wantedStart  = time.Second
)

// deadMessages are the dead ones.
var deadMessages = sql.MessageFilter{Status: sql.Statuses{relay.MessageDead}}

// asks is how often each question is asked.
const asks = 5

// runCentre measures what the API and the console ask the store, with the console's own connections and limits.
func runCentre(ctx context.Context, l *lab, o options) (_ *report, err error) {
	size, span := centreSize{messages: 500_000, dead: 10_000}, 2*time.Second
	if o.full {
		size, span = centreSize{messages: 5_000_000, dead: 100_000}, 4*time.Second
	}
	d, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	began := time.Now()
	if err := fillCentre(ctx, d.admin, size); err != nil {
		return nil, err
	}
	filled := time.Since(began)
	store, err := sql.Open(ctx, d.url, 2)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	r := &report{}
	c := centre{ctx: ctx, store: store.Console(), report: r, size: size}
	living := func() error { return c.besideRelay(d, span) }
	for _, measure := range []func() error{c.pages, c.overview, c.one, c.failures, c.console, c.jobs, living} {
		if err := measure(); err != nil {
			return nil, err
		}
	}
	r.note("%d messages of seven days, one in ten with an id of its own, and two deliveries for each; %d dead at ten subscribers for eight causes. Made in %s.",
		size.messages, size.dead, filled.Round(time.Second))
	r.note("The first time and the least of %d. A search that finds no whole page ends after %s and says how far it looked.", asks, sql.SearchTime)
	return r, nil
}

// centre asks.
type centre struct {
	ctx    context.Context
	store  *sql.Store
	report *report
	size   centreSize
}

// judge adds a line about a question whose least time counts.
func (c centre) judge(what string, most time.Duration, ask func() (string, error)) error {
	found := ""
	first, best, err := lasting(asks, func() (err error) {
		found, err = ask()
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.report.judge(what, "≤ "+most.String(), best <= most, "%s, %s%s", first.Round(10*time.Microsecond), best.Round(10*time.Microsecond), found)
	return nil
}

// pages asks for the first page of each list.
func (c centre) pages() error {
	ago := time.Now().Add(-72 * time.Hour)
	for _, page := range []struct {
		what   string
		filter sql.MessageFilter
	}{
		{"first page of messages", sql.MessageFilter{}},
		{"of dead ones", deadMessages},
		{"of pending ones", sql.MessageFilter{Status: sql.Statuses{relay.MessagePending}}},
		{"of an hour three days ago", sql.MessageFilter{Since: ago, Until: ago.Add(time.Hour)}},
		{"of one subscriber", sql.MessageFilter{Subscription: "sub-3"}},
		{"of what is dead at one subscriber", sql.MessageFilter{Subscription: "sub-3", Status: sql.Statuses{relay.MessageDead}}},
		{"of what is dead there for one cause", sql.MessageFilter{Subscription: "sub-3", Status: sql.Statuses{relay.MessageDead}, Causes: []relay.Cause{relay.CauseTimeout}}},
		{"of what has not ended at one subscriber", sql.MessageFilter{Subscription: "sub-3", Status: sql.Statuses{relay.MessageOpen}}},
		{"of one cause", sql.MessageFilter{Causes: []relay.Cause{relay.CauseTLS}}},
		{"of one key", sql.MessageFilter{Key: "key-2000"}},
		{"of a topic's pattern", sql.MessageFilter{Topic: "topic.#"}},
		{"of a topic that nothing has", sql.MessageFilter{Topic: "nothing"}},
		{"of a source that nothing has", sql.MessageFilter{Source: "nothing"}},
		{"of a subscriber that has none", sql.MessageFilter{Subscription: "nobody"}},
		{"of a text that no payload has", sql.MessageFilter{Text: "nothing has this"}},
	} {
		err := c.judge(page.what, wantedPage, func() (string, error) {
			found, err := c.store.ListMessages(c.ctx, page.filter, "", 50)
			if !found.Complete {
				return fmt.Sprintf("; looked at %d", found.Looked), err
			}
			return "", err
		})
		if err != nil {
			return err
		}
	}
	return c.judge("first page of deliveries that failed at one subscriber", wantedPage, func() (string, error) {
		_, err := c.store.ListDeliveries(c.ctx, sql.DeliveryFilter{Subscription: "sub-3", Status: []relay.DeliveryStatus{relay.DeliveryPushFailed}}, "", 50)
		return "", err
	})
}

// overview asks for what the first page shows: counts are taken anew each time, which the sampler does not.
func (c centre) overview() error {
	return c.judge("overview with a new count of all that stands", wantedPage, func() (string, error) {
		if _, err := c.store.Standing(c.ctx); err != nil {
			return "", err
		}
		if _, err := c.store.Overview(c.ctx); err != nil {
			return "", err
		}
		_, err := c.store.PulseBySubscription(c.ctx, time.Now().Add(-time.Hour))
		return "", err
	})
}

// one asks for all about one message.
func (c centre) one() error {
	page, err := c.store.FindMessages(c.ctx, deadMessages, "", 1)
	if err != nil || len(page.Messages) == 0 {
		return errors.Join(err, errors.New("there is no dead message"))
	}
	id := page.Messages[0].ID
	return c.judge("one message with its timeline and neighbours", wantedOne, func() (string, error) {
		if _, err := c.store.ShowMessage(c.ctx, id, 64<<10); err != nil {
			return "", err
		}
		_, err := c.store.TraceMessage(c.ctx, id)
		return "", err
	})
}

// failures asks for the groups.
func (c centre) failures() error {
	err := c.judge(fmt.Sprintf("groups of %d dead deliveries", c.size.dead), wantedGroups, func() (string, error) {
		groups, err := c.store.DeadGroups(c.ctx)
		return fmt.Sprintf("; %d groups", len(groups.Groups)), err
	})
	if err != nil {
		return err
	}
	return c.judge("groups of what fails and goes on", wantedPage, func() (string, error) {
		groups, err := c.store.FailingGroups(c.ctx)
		return fmt.Sprintf("; %d groups", len(groups.Groups)), err
	})
}

// jobs plans and starts a retry of all that is dead, and stops it again: no relay is to run it.
func (c centre) jobs() error {
	var made []relay.ID
	err := c.judge(fmt.Sprintf("a retry of %d dead messages is planned and made", c.size.dead), wantedStart, func() (string, error) {
		job, err := c.store.PlanJob(c.ctx, sql.JobRetry, deadMessages, 0, sql.SearchTime)
		if err != nil {
			return "", err
		}
		_, err = c.store.StartJob(c.ctx, &job, 0, sql.Once{})
		made = append(made, job.ID)
		return fmt.Sprintf("; %d counted", job.Total), err
	})
	for _, id := range made {
		err = errors.Join(err, c.store.StopJob(c.ctx, id))
	}
	return err
}
