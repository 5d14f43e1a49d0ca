package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoSubscription says that there is no subscription of that name.
var ErrNoSubscription = errors.New("there is no such subscription")

// RefusedSetting is a value that the table of subscriptions does not take.
type RefusedSetting struct {
	// Columns are the ones that the value may stand in.
	Columns []string
	Why     string
}

// Error names the columns.
func (r RefusedSetting) Error() string { return strings.Join(r.Columns, ", ") + ": " + r.Why }

// The row is made with what it cannot be without; then the given columns are set, and the
// others keep what they have. Concurrent calls are serialised.
const (
	makeSubscription = `
	insert into relay.subscription (name, topics, target)
	select $1, p.topics, p.target from jsonb_populate_record(null::relay.subscription, $2) p
	where not exists (select from relay.subscription where name = $1)
	on conflict (name) do nothing`

	setSubscription = `
	update relay.subscription s set
		topics = p.topics, target = p.target, paused = p.paused, ordered = p.ordered, broadcast = p.broadcast,
		ack = p.ack, ack_timeout = p.ack_timeout, timeout = p.timeout, concurrency = p.concurrency, rate_limit = p.rate_limit,
		max_attempts = p.max_attempts, max_handle_attempts = p.max_handle_attempts, backoff = p.backoff,
		on_dead = p.on_dead, secrets = p.secrets, headers = p.headers
	from relay.subscription o
	cross join lateral jsonb_populate_record(o, $2) p
	where s.name = $1 and o.name = s.name`
)

// SetSubscription gives the columns of a subscription the values of a JSON object, whose
// names are the columns' and in which null takes a value back to none. With create, one that
// does not exist is made, for which topics and target are needed; otherwise that is
// ErrNoSubscription. A value that the table refuses is a RefusedSetting.
func (s *Store) SetSubscription(ctx context.Context, name string, columns []byte, create bool) (created bool, err error) {
	return s.SetSubscriptionAt(ctx, name, columns, create, "")
}

// ErrVersion says that a subscription was changed, or made anew, since the version that was given.
var ErrVersion = errors.New("the subscription was changed meanwhile: look at it again")

// SetSubscriptionAt is SetSubscription if the subscription still has a version that SubscriptionSettings has told;
// otherwise it is ErrVersion. An empty version is any.
func (s *Store) SetSubscriptionAt(ctx context.Context, name string, columns []byte, create bool, version string) (created bool, err error) {
	err = s.inTx(ctx, "set subscription", func(tx pgx.Tx) error {
		if err := holdVersion(ctx, tx, name, version); err != nil {
			return err
		}
		if create {
			made, err := tx.Exec(ctx, makeSubscription, name, columns)
			if created = made.RowsAffected() > 0; err != nil {
				return refusedSetting(err)
			}
		}
		set, err := tx.Exec(ctx, setSubscription, name, columns)
		if err == nil && set.RowsAffected() == 0 {
			err = ErrNoSubscription
		}
		if err != nil {
			return refusedSetting(err)
		}
		return s.audit(ctx, tx, AuditEntry{Action: "subscription.set", Kind: AuditSubscription, Object: name, Details: settingNames(columns)})
	})
	return created, err
}

// subscriptionVersionOf is what SubscriptionFacts.Version holds: one that was removed and made again has another.
const subscriptionVersionOf = `(extract(epoch from s.created_at) * 1000000)::bigint || '-' || s.version`

// holdVersion locks a subscription that must have a version.
func holdVersion(ctx context.Context, tx pgx.Tx, name, version string) error {
	if version == "" {
		return nil
	}
	var has string
	err := tx.QueryRow(ctx, `select `+subscriptionVersionOf+` from relay.subscription s where s.name = $1 for update`, name).Scan(&has)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNoSubscription
	case err != nil:
		return denial(err)
	case has != version:
		return ErrVersion
	}
	return nil
}

// settingNames is what the audit keeps of settings: their names, since values may be secrets.
func settingNames(columns []byte) []byte {
	var values map[string]json.RawMessage
	if json.Unmarshal(columns, &values) != nil {
		return nil
	}
	details, err := json.Marshal(map[string][]string{"settings": slices.Sorted(maps.Keys(values))})
	if err != nil {
		return nil
	}
	return details
}

// refusals say which columns a constraint is about, and what it wants.
var refusals = map[string]RefusedSetting{
	"subscription_name":     {[]string{"name"}, "1 to 255 bytes without colon, slash or white space, and not direct or default"},
	"subscription_topics":   {[]string{"topics"}, "at least one, and none empty"},
	"subscription_target":   {[]string{"target"}, "1 to 8000 bytes"},
	"subscription_ack":      {[]string{"ack"}, "allowed is response or consumer"},
	"subscription_on_dead":  {[]string{"on_dead"}, "allowed is continue or block"},
	"subscription_secrets":  {[]string{"secrets"}, "none may be null"},
	"subscription_headers":  {[]string{"headers"}, "not an object"},
	"subscription_positive": {[]string{"ack_timeout", "timeout", "concurrency", "rate_limit", "max_attempts", "max_handle_attempts", "backoff"}, "each must be above 0"},
	"subscription_backoff":  {[]string{"backoff", "timeout", "ack_timeout"}, "intervals are above 0 and below a year, timeout is below a day"},
}

// refusedSetting puts into words what the table of subscriptions refuses.
func refusedSetting(err error) error {
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg):
		return err
	case pg.Code == "23502":
		return RefusedSetting{[]string{pg.ColumnName}, "a value is needed"}
	case pg.ConstraintName == "subscription_topics_pattern":
		return RefusedSetting{[]string{"topics"}, pg.Message}
	case pg.Code == "23514":
		if r, known := refusals[pg.ConstraintName]; known {
			return r
		}
		column, _, _ := strings.Cut(strings.TrimPrefix(pg.ConstraintName, "subscription_"), "_")
		return RefusedSetting{[]string{column}, fmt.Sprintf("the table refuses it (constraint %s)", pg.ConstraintName)}
	}
	return denial(err)
}
