package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Instance is one copy of a subscriber that hears broadcasts, as its newest deliveries show it.
type Instance struct {
	Instance string        `json:"instance" doc:"Its address or queue, without what may be secret. Empty: no instance was found at that time."`
	Seen     Count         `json:"seen" doc:"Its deliveries among those that were looked at."`
	ByStatus []StatusCount `json:"by_status" doc:"Of these."`
	LastAt   time.Time     `json:"last_at" doc:"When the last of these changed."`
	Error    string        `json:"error,omitempty" doc:"The newest error of these that has not ended well."`
}

// instancesLooked is how many deliveries are looked at for instances.
const instancesLooked = 2000

// Instances lists the instances of a subscription that its newest deliveries within a day went to, by name.
func (s *Service) Instances(ctx context.Context, name string) ([]Instance, error) {
	if _, err := s.settings(ctx, name); err != nil {
		return nil, err
	}
	f, all := sql.DeliveryFilter{Subscription: name, Since: time.Now().Add(-24 * time.Hour)}, make(map[string]*Instance)
	var after sql.Cursor
	looked, exact := 0, false
	for looked < instancesLooked && !exact {
		page, err := s.store.ListDeliveries(ctx, f, after, MessageLimit)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deliveries {
			addInstance(all, d)
		}
		looked += len(page.Deliveries)
		after, exact = page.Next, page.Next == ""
		if len(page.Deliveries) == 0 {
			break // the search has reached its limit
		}
	}
	list := []Instance{}
	for _, one := range all {
		one.Seen = counted(sql.Count{N: one.Seen.N, Exact: exact})
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b Instance) int { return cmp.Compare(a.Instance, b.Instance) })
	return list, nil
}

func addInstance(all map[string]*Instance, d sql.ListedDelivery) {
	one := all[d.Instance]
	if one == nil {
		one = &Instance{Instance: relay.ShownTarget(d.Instance), ByStatus: []StatusCount{}}
		all[d.Instance] = one
	}
	one.Seen.N++
	if d.UpdatedAt.After(one.LastAt) {
		one.LastAt = d.UpdatedAt.UTC()
	}
	if one.Error == "" && d.Status != relay.DeliveryHandled && d.Status != relay.DeliveryDelivered {
		one.Error = d.Error
	}
	i := slices.IndexFunc(one.ByStatus, func(c StatusCount) bool { return c.Status == string(d.Status) })
	if i < 0 {
		i, one.ByStatus = len(one.ByStatus), append(one.ByStatus, StatusCount{Status: string(d.Status)})
	}
	one.ByStatus[i].N++
}
