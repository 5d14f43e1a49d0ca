package sql

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"relay"
)

// TestPatternsThatMatchNothingAreRefused by the table in the same words as by relay.CheckPattern.
func TestPatternsThatMatchNothingAreRefused(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	for _, pattern := range []string{
		"order", "order.created", "*", "#", "order.*", "*.created", "order.#", "#.a.*.b.#", "a..b",
		"order*", "order#", "order.>", ">", "*created", "a.b*c.d", "order**", "a.##", "a.#.b*", "a.*b.>", " order.*", "order.*, a.b", "order\tsecond",
	} {
		_, err := s.pool.Exec(t.Context(), "insert into relay.subscription (name, topics, target) values (gen_random_uuid(), array['good', $1], 'http://h/')", pattern)
		want := relay.CheckPattern(pattern)
		var pg *pgconn.PgError
		switch {
		case want == nil && err != nil:
			t.Errorf("%q: %v", pattern, err)
		case want != nil && (!errors.As(err, &pg) || pg.Code != "23514" || pg.ConstraintName != "subscription_topics_pattern"):
			t.Errorf("%q: %v, want %v", pattern, err, want)
		case want != nil && pg.Message != strings.ReplaceAll(want.Error(), `\t`, "\t"):
			t.Errorf("the table says %s, the program %s", pg.Message, want)
		}
	}
	_, err := s.SetSubscription(t.Context(), "a", []byte(`{"topics": ["order*"], "target": "http://h/"}`), true)
	var refused RefusedSetting
	if !errors.As(err, &refused) || refused.Columns[0] != "topics" || !strings.Contains(refused.Why, "write order.* ") {
		t.Errorf("%v", err)
	}
	// One that is there already can be paused and changed.
	for _, statement := range []string{
		"alter table relay.subscription disable trigger subscription_checked",
		"insert into relay.subscription (name, topics, target) values ('old', '{order*}', 'http://h/')",
		"alter table relay.subscription enable always trigger subscription_checked",
		"update relay.subscription set paused = true where name = 'old'",
	} {
		if _, err := db.Admin(t).Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
