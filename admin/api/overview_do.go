package api

import (
	"context"
	"slices"
	"time"

	"relay/operate"
)

func (a *API) getOverview(ctx context.Context, _ *polledInput) (*Answer[Overview], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	live := a.live()
	found, err := service.Overview(ctx, &live, a.hides(callerOf(ctx).Identity))
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	all, err := subscriptions(ctx, service, found.Standings)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	slices.SortStableFunc(all, func(a, b Subscription) int { return operate.ByTrouble(a.Standing, b.Standing) })
	o := Overview{
		FirstRun: found.FirstRun, Needs: found.Needs, Traffic: found.Traffic, Messages: found.Messages, Subscriptions: all,
		Transport: live.Conditions, Relays: []RunningRelay{}, RunningJobs: found.RunningJobs, CountedAt: found.CountedAt, AsOf: found.AsOf,
		Database: Database{Name: a.Settings.Database, SkewMS: float64(found.Skew.Milliseconds()), Reachable: true},
	}
	if o.Transport == nil {
		o.Transport = []operate.Condition{}
	}
	for _, r := range found.Relays {
		seen := found.AsOf.Add(found.Skew).Add(-time.Duration(r.SeenAgo * float64(time.Second)))
		o.Relays = append(o.Relays, RunningRelay{
			Name: r.Name, Version: r.Version, Streaming: r.Streaming, Shards: r.Shards, Expired: r.Expired, Silent: r.Silent, SeenAt: seen.Truncate(time.Second).UTC(),
		})
	}
	o.TookMS = took(began)
	return &Answer[Overview]{o}, nil
}
