package quarantine

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// refuse is what PostgreSQL answers about some row.
var refuse = &pgconn.PgError{Code: "42P01", SeverityUnlocalized: "ERROR"}

func TestTheCulpritsOfABatchStandAlone(t *testing.T) {
	t.Parallel()
	items := make([]int, 100)
	for i := range items {
		items[i] = i
	}
	var done, culprits []int
	calls := 0
	err := InHalves(t.Context(), items, func(some []int) error {
		calls++
		if slices.Contains(some, 17) || slices.Contains(some, 64) {
			return refuse
		}
		done = append(done, some...)
		return nil
	}, func(i int, _ error) { culprits = append(culprits, i) })
	if err != nil || len(done) != 98 || !slices.Equal(culprits, []int{17, 64}) {
		t.Errorf("%d are done, the culprits are %v: %v", len(done), culprits, err)
	}
	if calls > 30 {
		t.Errorf("%d calls", calls)
	}
}

// Where the table is missing, or the connection is lost, there is no culprit.
func TestNothingIsHalvedWhereNothingCanBeDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		calls int
	}{
		"the table is missing":   {refuse, 2},
		"the connection is lost": {errors.New("reset by peer"), 1},
		"the disk is full":       {&pgconn.PgError{Code: "53100", SeverityUnlocalized: "ERROR"}, 1},
		"the server ends":        {&pgconn.PgError{Code: "57P01", SeverityUnlocalized: "FATAL"}, 1},
	} {
		calls := 0
		err := InHalves(t.Context(), []int{1, 2, 3}, func([]int) error { calls++; return c.err },
			func(i int, _ error) { t.Errorf("%s: %d is a culprit", name, i) })
		if !errors.Is(err, c.err) || calls != c.calls {
			t.Errorf("%s: %v after %d calls, want %d", name, err, calls, c.calls)
		}
	}
}
