package reconcile

import (
	"testing"

	"relay/sql"
)

// Rows that earlier versions parked may name a circuit otherwise than its kind says.
func TestADestinationNamesItsCircuit(t *testing.T) {
	t.Parallel()
	for destination, parked := range map[string]sql.Parked{
		"sub":               {Circuit: "sub"},
		"sub/10.0.0.1":      {Circuit: "sub/10.0.0.1"},
		"http://h:80":       {Circuit: "http://h:80", Direct: true},
		"?:sub":             {Circuit: "sub", Direct: true},
		"?/http://h:80/old": {Circuit: "http://h:80/old"},
	} {
		if got := destinationOf(parked); got != destination {
			t.Errorf("the destination of %+v is %q, want %q", parked, got, destination)
		}
		if got := circuitOf(destination); got != parked {
			t.Errorf("the circuit of %q is %+v, want %+v", destination, got, parked)
		}
	}
}
