package notice

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

// What could not be passed on was left to the others' own sweeps, hours away perhaps.
func TestWhatCouldNotBePassedOnBecomesARequestToSweep(t *testing.T) {
	t.Parallel()
	f := NewForwarder(ForwarderConfig{})
	var told []string
	broken := true
	tell := func() error {
		return f.tell(func(rows []foreign) ([]foreign, error) {
			if broken {
				return nil, errors.New("away")
			}
			told = append(told, fmt.Sprint(len(rows)))
			return nil, nil
		})
	}
	f.add(make([]foreign, 1))
	<-f.ready
	if tell() == nil {
		t.Fatal("the error is dropped")
	}
	f.add(make([]foreign, 2))
	broken = false
	<-f.ready
	if err := tell(); err != nil || !slices.Equal(told, []string{"2", "0"}) {
		t.Errorf("told %v, error %v", told, err)
	}
	f.Missed()
	<-f.ready
	if err := tell(); err != nil || !slices.Equal(told, []string{"2", "0", "0"}) {
		t.Errorf("told %v, error %v", told, err)
	}
	if err := tell(); err != nil || len(told) != 3 {
		t.Errorf("told %v, error %v", told, err)
	}
}

// A row that SQL did not show yet meant nothing to the other relays, which look once.
func TestTheOthersAreToldOfARowWhenSQLShowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewForwarder(ForwarderConfig{})
		late, seen := foreign{id: relay.NewID(), xid: 7}, foreign{id: relay.NewID(), xid: 8}
		f.add([]foreign{late, seen})
		asked := 0
		begun := time.Now()
		for hidden := true; hidden; {
			<-f.ready
			if err := f.tell(func(rows []foreign) (still []foreign, err error) {
				asked += len(rows)
				for _, row := range rows {
					if row.id == late.id && time.Since(begun) <= 3*time.Second {
						still = append(still, row)
					}
				}
				hidden = len(still) > 0
				return still, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 3*time.Second+hiddenMost || asked > 20 {
			t.Errorf("told after %s, asked %d times", took, asked)
		}
	})
}
