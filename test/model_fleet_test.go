package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// toFleet names the broadcast subscription of a model, and fleetSize is how many instances
// stand behind its host name. Each is a subscriber of its own to the checker.
const (
	toFleet   = "fleet"
	fleetSize = 3
)

// instanceName is an instance's name as a subscriber.
func instanceName(address string) string { return toFleet + "/" + address }

// newFleetOf starts the instances, makes the relays' host name lead to all of them, and
// returns the subscription's target and the names of the instances.
func newFleetOf(t testing.TB, n *names, in *inboxes) (url string, instances []string) {
	t.Helper()
	listeners := listenTogether(t, fleetSize)
	var addresses []string
	for i, l := range listeners {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in.serve(w, r, instanceName(l.Addr().String()))
		}))
		server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		addresses = append(addresses, address(i))
		instances = append(instances, instanceName(l.Addr().String()))
	}
	n.set(t, addresses...)
	return fmt.Sprintf("http://workers.test:%d/hook", listeners[0].Addr().(*net.TCPAddr).Port), instances
}

// moodyInstance is moody for one of the instances.
func (m *model) moodyInstance(pick int) (func() error, error) {
	return moody(m.fleet[pick%fleetSize])(m, pick/fleetSize)
}
