package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// verdict is what the tally says at the end.
type verdict struct {
	lost     []relay.ID // committed, never accepted
	phantoms []relay.ID // rolled back, and delivered
	// interrupted says that a person ended the demo: what is missing was on its way.
	interrupted bool
}

// Report counts the messages of a demo that has ended.
type Report struct {
	Committed   int  `json:"committed"`
	RolledBack  int  `json:"rolled_back"`
	Lost        int  `json:"lost"`        // committed, never accepted; or still on their way, if interrupted
	Phantoms    int  `json:"phantoms"`    // rolled back, and delivered
	Interrupted bool `json:"interrupted"` // a person ended it
}

// err says what was wrong, naming at most five messages of each kind; nil if nothing was.
func (v verdict) err() error {
	var errs []error
	if len(v.phantoms) > 0 {
		errs = append(errs, fmt.Errorf("%d rolled back messages were delivered: %s", len(v.phantoms), names(v.phantoms)))
	}
	if len(v.lost) > 0 && !v.interrupted {
		errs = append(errs, fmt.Errorf("%d committed messages were lost: %s", len(v.lost), names(v.lost)))
	}
	return errors.Join(errs...)
}

// named is how many messages are named.
const named = 5

func names(ids []relay.ID) string {
	texts := make([]string, 0, named+1)
	for _, id := range ids[:min(len(ids), named)] {
		texts = append(texts, id.String())
	}
	if len(ids) > named {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}

// judge prints the verdict and returns its error.
func (d *demo) judge(ctx context.Context, interrupted bool) error {
	v := verdict{lost: d.tally.lost(), phantoms: d.tally.phantoms(), interrupted: interrupted}
	all := d.columns()
	total := all[len(all)-1]
	err := v.err()
	if d.cfg.Done != nil {
		d.cfg.Done(Report{Committed: total.committed, RolledBack: total.rolledBack, Lost: len(v.lost), Phantoms: len(v.phantoms), Interrupted: interrupted})
	}
	switch {
	case err != nil:
		d.screen.print("\n" + d.explain(ctx, v))
	case len(v.lost) > 0:
		d.screen.print(fmt.Sprintf("\nEnded with %d committed messages still on their way; they stood safe in the table.", len(v.lost)))
	default:
		d.screen.print(fmt.Sprintf("\nAll %s committed messages arrived; none of the %s rolled back ones did.",
			grouped(total.committed), grouped(total.rolledBack)))
	}
	return err
}

// explain says of each named message what its row says.
func (d *demo) explain(ctx context.Context, v verdict) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var b strings.Builder
	list := func(kind string, ids []relay.ID) {
		for _, id := range ids[:min(len(ids), named)] {
			fmt.Fprintf(&b, "%s %s: %s\n", kind, id, d.row(ctx, id))
		}
	}
	list("PHANTOM", v.phantoms)
	list("LOST", v.lost)
	return b.String()
}

// row says in a few words how a message stands in the table.
func (d *demo) row(ctx context.Context, id relay.ID) string {
	const statement = `
	select o.status::text || coalesce(', ' || d.status::text || ' after ' || d.attempts || ' attempts', '')
		|| coalesce(': ' || coalesce(d.last_error, o.last_error), '')
	from relay.outbox o left join relay.delivery d on d.message_id = o.id
	where o.id = $1 limit 1`
	var text string
	err := d.servers.admin.QueryRow(ctx, statement, [16]byte(id)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return "there is no such row"
	}
	if err != nil {
		return err.Error()
	}
	return text
}

// countDead asks the table how many messages have ended badly. Where it cannot be asked
// the last numbers stay.
func (d *demo) countDead(ctx context.Context) {
	const statement = `
	select coalesce(destination like 'amqp:%', false), count(*)
	from relay.outbox where status in ('dead', 'rejected') group by 1`
	rows, err := d.servers.admin.Query(ctx, statement)
	if err != nil {
		return
	}
	var now [routes]int
	var rabbit bool
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&rabbit, &n}, func() error {
		by := viaHTTP
		if rabbit {
			by = viaRabbit
		}
		now[by] = n
		return nil
	}); err == nil {
		d.ended.Store(&now)
	}
}

// dead returns what countDead found last.
func (d *demo) dead() [routes]int {
	if now := d.ended.Load(); now != nil {
		return *now
	}
	return [routes]int{}
}
