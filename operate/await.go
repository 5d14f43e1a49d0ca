package operate

import (
	"context"
	"time"

	"relay"
)

// Ends counts messages by how they stand.
type Ends map[relay.MessageStatus]int

// AwaitEnds waits until messages have ended, at most for the time given, and counts how they stand then. A message
// that is gone is counted under no status.
func (s *Service) AwaitEnds(ctx context.Context, ids []string, wait time.Duration) (Ends, error) {
	const every = 200 * time.Millisecond
	open, err := parseIDs(ids)
	if err != nil {
		return nil, err
	}
	ends := Ends{}
	for until := time.Now().Add(wait); ; {
		statuses, err := s.store.Statuses(ctx, open)
		if err != nil {
			return nil, err
		}
		late := time.Now().After(until)
		var left []relay.ID
		for _, id := range open {
			status, there := statuses[id]
			goesOn := status == relay.MessagePending || status == relay.MessageOpen
			switch {
			case goesOn && !late:
				left = append(left, id)
			case there:
				ends[status]++
			}
		}
		if open = left; len(open) == 0 {
			return ends, nil
		}
		if err := pause(ctx, min(every, time.Until(until)+time.Millisecond)); err != nil {
			return ends, err
		}
	}
}

// AwaitJobMessages is AwaitEnds for the messages that a job has changed.
func (s *Service) AwaitJobMessages(ctx context.Context, job string, wait time.Duration) (Ends, error) {
	ends := Ends{}
	until := time.Now().Add(wait)
	for cursor := ""; ; {
		page, err := s.JobResults(ctx, job, false, At{Cursor: cursor, Limit: JobLimit})
		if err != nil {
			return nil, err
		}
		var ids []string
		for _, r := range page.Items {
			if r.OK {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) > 0 {
			some, err := s.AwaitEnds(ctx, ids, time.Until(until))
			if err != nil {
				return nil, err
			}
			for status, n := range some {
				ends[status] += n
			}
		}
		if cursor = page.Next; cursor == "" {
			return ends, nil
		}
	}
}
