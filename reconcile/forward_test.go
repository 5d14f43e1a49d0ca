package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"relay"
)

// What could not be passed on was left to the others' own sweeps, hours away perhaps.
func TestWhatCouldNotBePassedOnBecomesARequestToSweep(t *testing.T) {
	t.Parallel()
	f := newForwarder()
	var told []string
	broken := true
	tell := func() error {
		return f.tell(func(ids []relay.ID) error {
			if broken {
				return errors.New("away")
			}
			told = append(told, fmt.Sprint(len(ids)))
			return nil
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
