package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// Standing is what is outstanding at a subscription and how fast it goes.
type Standing struct {
	Outstanding   Count         `json:"outstanding" doc:"Deliveries that have not ended."`
	ByStatus      []StatusCount `json:"by_status" doc:"Of these."`
	ByReason      []ReasonCount `json:"by_reason" doc:"Of those that wait."`
	Stages        []StageCount  `json:"stages" doc:"As the receiver sees them. handled and delivered count the last 24 hours."`
	Dead          Count         `json:"dead"`
	OldestAt      *time.Time    `json:"oldest_at,omitempty" doc:"When the oldest of what is outstanding was or is due. Absent for direct and default."`
	BlockedKeys   Count         `json:"blocked_keys"`
	Circuit       string        `json:"circuit" enum:"closed,open" doc:"As this relay sees it. While it is open a retry that is due probes the receiver."`
	CircuitSince  *time.Time    `json:"circuit_since,omitempty" doc:"When it opened. Absent: it is closed."`
	RatePerSecond float64       `json:"rate_per_second" doc:"Accepted, over the last 5 minutes."`
	P50MS         *float64      `json:"p50_ms,omitempty" doc:"From due to accepted by the first attempt, over the last 5 minutes."`
	P99MS         *float64      `json:"p99_ms,omitempty"`
	Spark         []int64       `json:"spark" doc:"Accepted per minute over the last hour, the oldest first; 60 values."`
}

// ReasonCount is how many deliveries wait for one reason.
type ReasonCount struct {
	Reason string `json:"reason"`
	N      int64  `json:"n"`
}

// Standings is what stands at all subscribers.
type Standings struct {
	sql.Standing
	// Blocked are the keys that wait, by subscriber, and Behind the messages behind them; BlockedExact is false if there
	// are more than were looked at.
	Blocked, Behind map[string]int64
	BlockedExact    bool
	now             time.Time
	minutes         series
	lately          map[string]sql.PulseOutcome
	circuits        []OpenCircuit
}

// Standings reads what stands at all subscribers. The circuits are the open ones.
func (s *Service) Standings(ctx context.Context, circuits []OpenCircuit) (all Standings, err error) {
	all = Standings{now: time.Now(), circuits: circuits, Blocked: map[string]int64{}, Behind: map[string]int64{}, lately: map[string]sql.PulseOutcome{}}
	if all.Standing, err = s.sampler.Standing(ctx); err != nil {
		return all, err
	}
	minutes, err := s.store.OutcomeSeries(ctx, all.now.Add(-time.Hour), all.now, time.Minute)
	if err != nil {
		return all, err
	}
	all.minutes = newSeries(minutes)
	lately, err := s.store.PulseBySubscription(ctx, all.now.Add(-5*time.Minute))
	if err != nil {
		return all, err
	}
	for _, o := range lately {
		all.lately[o.Subscription] = o
	}
	keys, err := s.sampler.HeldKeys(ctx)
	if err != nil {
		return all, err
	}
	for _, k := range keys.Keys {
		if k.Status == relay.DeliveryDead {
			all.Blocked[k.Subscription]++
			all.Behind[k.Subscription] += int64(k.Waiting)
		}
	}
	all.BlockedExact = keys.Next == ""
	return all, nil
}

// Of returns what stands at one subscriber.
func (a Standings) Of(name string) Standing {
	st := Standing{ByStatus: []StatusCount{}, ByReason: []ReasonCount{}, Circuit: "closed", BlockedKeys: counted(sql.Count{N: a.Blocked[name], Exact: a.BlockedExact})}
	statuses, reasons, stages := map[string]int64{}, map[string]int64{}, map[Stage]int64{}
	for _, g := range slices.Concat(a.Unfinished, a.DeadDeliveries) {
		if g.Subscription != name {
			continue
		}
		stages[DeliveryStage(g.Status, g.Cause)] += int64(g.N)
		if g.Status == relay.DeliveryDead {
			st.Dead.N += int64(g.N)
			continue
		}
		st.Outstanding.N += int64(g.N)
		statuses[string(g.Status)] += int64(g.N)
		if g.Reason != "" {
			reasons[string(g.Reason)] += int64(g.N)
		}
	}
	st.Outstanding, st.Dead = counted(sql.Count{N: st.Outstanding.N, Exact: a.UnfinishedExact}), counted(sql.Count{N: st.Dead.N, Exact: a.DeadExact})
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		st.ByStatus = append(st.ByStatus, StatusCount{status, statuses[status]})
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		st.ByReason = append(st.ByReason, ReasonCount{reason, reasons[reason]})
	}
	for _, stage := range []Stage{StageCommitted, StagePushFailed, StageHandleFailed} {
		st.Stages = append(st.Stages, StageCount{stage, counted(sql.Count{N: stages[stage], Exact: a.UnfinishedExact && a.DeadExact})})
	}
	if oldest, some := a.Oldest[name]; some {
		st.OldestAt = utc(&oldest)
	}
	if i := slices.IndexFunc(a.circuits, func(c OpenCircuit) bool { return c.Name == name }); i >= 0 {
		st.Circuit, st.CircuitSince = "open", a.circuits[i].since()
	}
	st.Spark = series{"x": a.minutes[name]}.values("", a.now, time.Minute, 60, went)
	o := a.lately[name]
	st.RatePerSecond, st.P50MS, st.P99MS = lately(st.Spark), quantile(o.Wait, 0.5), quantile(o.Wait, 0.99)
	return st
}

// Names lists the subscribers at which anything stands or went lately.
func (a Standings) Names() []string {
	seen := map[string]bool{}
	for _, g := range slices.Concat(a.Unfinished, a.DeadDeliveries) {
		seen[g.Subscription] = true
	}
	for name := range a.minutes {
		seen[name] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Spark is what all subscribers accepted in each of 60 minutes, and FailedSpark what failed.
func (a Standings) Spark() []int64 { return a.minutes.values("", a.now, time.Minute, 60, went) }
func (a Standings) FailedSpark() []int64 {
	return a.minutes.values("", a.now, time.Minute, 60, failures)
}

// Wait returns the median and the 99th percentile of the last five minutes, in milliseconds.
func (a Standings) Wait() (p50, p99 *float64) {
	all := make(sql.Latencies, len(sql.PulseBounds)+1)
	for _, o := range a.lately {
		for i, n := range o.Wait {
			all[i] += n
		}
	}
	return quantile(all, 0.5), quantile(all, 0.99)
}

// received is what was taken up in each of the last 60 minutes.
func (s *Service) received(ctx context.Context) ([]int64, error) {
	now := time.Now()
	points, err := s.store.SentSeries(ctx, now.Add(-time.Hour), now, time.Minute)
	if err != nil {
		return nil, err
	}
	return newSeries(points).values("", now, time.Minute, 60, went), nil
}

// SettingsOf lists the settings of subscriptions by name, or of one if the name is not empty, without counts.
func (s *Service) SettingsOf(ctx context.Context, name string) ([]Subscription, error) {
	list, err := s.store.ListSettings(ctx, name)
	if err != nil {
		return nil, err
	}
	if name != "" && len(list) == 0 {
		return nil, noSubscription(sql.ErrNoSubscription, name)
	}
	var all []Subscription
	for _, f := range list {
		all = append(all, newSubscription(f))
	}
	return all, nil
}

// SecretChange changes the signing secrets of a subscription: one to add in front, and places to remove.
type SecretChange struct {
	Add    string
	Remove []int
}

// PutAt is Put if the subscription still has a version; an empty one is any. Changes of secrets, and headers whose
// value is nil, build on what it has: nil headers keep all.
func (s *Service) PutAt(ctx context.Context, actor Actor, name, version string, settings Settings, secrets SecretChange, headers map[string]*string) (created bool, err error) {
	if err := storable("name", name); err != nil {
		return false, err
	}
	if secrets.Add != "" || len(secrets.Remove) > 0 || headers != nil {
		if err := s.mergeHidden(ctx, name, &settings, secrets, headers); err != nil {
			return false, err
		}
	}
	if err := settings.Validate(); err != nil {
		return false, err
	}
	columns, err := json.Marshal(settings.columns())
	if err != nil {
		return false, invalid("", "the settings cannot be written as JSON")
	}
	created, err = s.by(actor).SetSubscriptionAt(ctx, name, columns, true, version)
	var no sql.RefusedSetting
	if errors.As(err, &no) {
		return false, &Error{Code: CodeInvalid, Field: strings.Join(no.Columns, ", "), Text: no.Why, cause: err}
	}
	return created, noSubscription(err, name)
}

// mergeHidden sets secrets and headers from what is there and what is to change.
func (s *Service) mergeHidden(ctx context.Context, name string, settings *Settings, secrets SecretChange, headers map[string]*string) error {
	all, _, err := s.store.Subscriptions(ctx)
	if err != nil {
		return err
	}
	now := &relay.Subscriber{}
	for _, one := range all {
		if one.Name == name {
			now = one
		}
	}
	if secrets.Add != "" || len(secrets.Remove) > 0 {
		kept := []string{}
		for i, secret := range now.Secrets {
			if !slices.Contains(secrets.Remove, i) {
				kept = append(kept, secret)
			}
		}
		for _, i := range secrets.Remove {
			if i < 0 || i >= len(now.Secrets) {
				return invalid("remove_secrets", "there is no secret at place %d", i)
			}
		}
		if secrets.Add != "" {
			kept = append([]string{secrets.Add}, kept...)
		}
		settings.Secrets = Set(kept)
	}
	if headers == nil {
		return nil
	}
	merged := map[string]string{}
	for header, value := range headers {
		if value != nil {
			merged[header] = *value
			continue
		}
		stored, has := now.Headers[header]
		if !has {
			return invalid("headers", "a header that the subscription does not have needs a value")
		}
		merged[header] = stored
	}
	settings.Headers = Set(merged)
	return nil
}

// DeleteAt removes a subscription that still has a version; an empty one is any. What is outstanding is cancelled for
// at most the time given, if that is wanted: deleted is false if it was not enough.
func (s *Service) DeleteAt(ctx context.Context, actor Actor, name, version string, cancelOutstanding bool, limit time.Duration) (deleted bool, cancelled int, err error) {
	store := s.by(actor)
	for until := time.Now().Add(limit); ; {
		err := store.DeleteSubscriptionAt(ctx, name, version)
		switch {
		case errors.Is(err, sql.ErrOutstanding) && !cancelOutstanding:
			return false, cancelled, s.outstanding(ctx, name)
		case !errors.Is(err, sql.ErrOutstanding):
			return err == nil, cancelled, noSubscription(err, name)
		case time.Now().After(until):
			return false, cancelled, nil
		}
		n, found, err := store.CancelOutstanding(ctx, name, cancelledByDelete, changeBatch)
		if cancelled += n; err != nil {
			return false, cancelled, err
		}
		if n == 0 && found > 0 {
			if err := pause(ctx, lockedWait); err != nil {
				return false, cancelled, fmt.Errorf("cancel what is outstanding: %w", err)
			}
		}
	}
}
