package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const writePulseStanding = `
insert into relay.pulse_standing (minute, messages, messages_exact, deliveries, deliveries_exact)
values ($1, $2, $3, $4, $5) on conflict (minute) do nothing`

// WritePulseStanding keeps what had not ended in a minute. The first count of a minute stands: of two relays that
// both take themselves for the one that counts, the second one changes nothing.
func (s *Store) WritePulseStanding(ctx context.Context, minute time.Time, st Standing) error {
	messages := Count{st.Pending.N + st.Open.N, st.Pending.Exact && st.Open.Exact}
	deliveries := make(map[string]int64, len(st.Unfinished))
	for _, g := range st.Unfinished {
		deliveries[g.Subscription] += int64(g.N)
	}
	names, err := json.Marshal(deliveries)
	if err != nil {
		return fmt.Errorf("write what is outstanding: %w", err)
	}
	_, err = s.changes.Exec(ctx, writePulseStanding, minute.Truncate(time.Minute), messages.N, messages.Exact, string(names), st.UnfinishedExact)
	if err != nil {
		return fmt.Errorf("write what is outstanding: %w", err)
	}
	return nil
}
