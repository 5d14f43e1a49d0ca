package reconcile

import (
	"slices"
	"testing"
)

// A delivery is parked while the table is asked, by a statement that does not see it yet.
func TestACircuitThatIsAddedWhileItIsReadIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := newBacklog()
	b.add("c")
	from := b.position("c")
	b.add("c")
	b.advance("c", from, 0, true)
	if got := b.circuits(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("circuits %q", got)
	}
	b.advance("c", b.position("c"), 0, true)
	if got := b.circuits(); len(got) != 0 {
		t.Errorf("circuits %q after nothing was found", got)
	}
}
