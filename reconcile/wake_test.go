package reconcile

import (
	"testing"

	"relay/sql"
)

func TestALookAtEveryLineGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWaker()
	if _, _, walking := w.position(); walking {
		t.Error("lines are looked at although nobody has asked for it")
	}
	w.all()
	first, last := sql.Line{Key: "a"}, sql.Line{Key: "b"}
	walk, after, walking := w.position()
	if !walking || after != (sql.Line{}) {
		t.Errorf("begins after %v: %v", after, walking)
	}
	w.walked(walk, []sql.Line{first, last})
	if _, after, walking = w.position(); !walking || after != last {
		t.Errorf("goes on after %v: %v", after, walking)
	}
	w.all()
	w.walked(walk, nil)
	if walk, after, walking = w.position(); !walking || after != (sql.Line{}) {
		t.Errorf("asked for anew, goes on after %v: %v", after, walking)
	}
	w.walked(walk, nil)
	if _, _, walking = w.position(); walking {
		t.Error("there is no end")
	}
}
