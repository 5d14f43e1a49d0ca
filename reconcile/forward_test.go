package reconcile

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
	f := newForwarder()
	var told []string
	broken := true
	tell := func() error {
		return f.tell(func(ids []relay.ID) ([]relay.ID, error) {
			if broken {
				return nil, errors.New("away")
			}
			told = append(told, fmt.Sprint(len(ids)))
			return ids, nil
		})
	}
	f.add([]relay.ID{relay.NewID()})
	<-f.ready
	if tell() == nil {
		t.Fatal("the error is dropped")
	}
	f.add([]relay.ID{relay.NewID(), relay.NewID()})
	broken = false
	<-f.ready
	if err := tell(); err != nil || !slices.Equal(told, []string{"2", "0"}) {
		t.Errorf("told %v, error %v", told, err)
	}
	f.missed()
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
		f := newForwarder()
		hidden, seen := relay.NewID(), relay.NewID()
		f.add([]relay.ID{hidden, seen})
		asked := 0
		begun := time.Now()
		for told := 0; told < 2; {
			<-f.ready
			if err := f.tell(func(ids []relay.ID) (shown []relay.ID, err error) {
				for _, id := range ids {
					if asked++; id == seen || time.Since(begun) > 3*time.Second {
						shown = append(shown, id)
					}
				}
				told += len(shown)
				return shown, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 3*time.Second+hiddenMost || asked > 20 || len(f.hidden) != 0 {
			t.Errorf("told after %s, asked %d times, still hidden %d", took, asked, len(f.hidden))
		}
		f.add([]relay.ID{hidden})
		<-f.ready
		for time.Since(begun) < 2*seekFor {
			if err := f.tell(func([]relay.ID) ([]relay.ID, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			select {
			case <-f.ready:
			case <-time.After(time.Minute):
				begun = time.Time{}
			}
		}
		if len(f.hidden) != 0 {
			t.Error("a row that never shows is looked for without end")
		}
	})
}
