package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	"relay"
	"relay/notify/conformance"
	"relay/notify/webhook"
	"relay/test/harness"
)

// What is decided before a byte is sent speaks against no destination: forty rows with a
// forbidden address must not be taken for a destination that is down.
func TestAnAttemptSaysWhatItSpeaksAgainst(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, webhook.Config{Resolver: resolver(t, func() []string { return nil })})
	unavailable := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	badSecret := operatorsTarget(t, unavailable.URL)
	badSecret.Secrets = []string{"whsec_not base64!"}
	badHeader := conformance.NewDelivery(operatorsTarget(t, unavailable.URL), nil)
	badHeader.Message.ContentType = "text/plain\r\nx: y"
	for name, c := range map[string]struct {
		delivery *relay.Delivery
		blame    relay.Blame
	}{
		"a private address of a row":        {conformance.NewDelivery(rowsTarget(t, unavailable.URL), nil), relay.BlameNone},
		"a metadata address":                {conformance.NewDelivery(operatorsTarget(t, "http://169.254.169.254/"), nil), relay.BlameNone},
		"a secret that is none":             {conformance.NewDelivery(badSecret, nil), relay.BlameNone},
		"a name that is none":               {conformance.NewDelivery(rowsTarget(t, "http://"+strings.Repeat("a", 64)+".test/"), nil), relay.BlameNone},
		"a name that is none, of instances": {conformance.NewDelivery(broadcast(t, "http://"+strings.Repeat("a", 64)+".test/"), nil), relay.BlameNone},
		"a name that does not exist":        {conformance.NewDelivery(rowsTarget(t, "http://nobody.test/"), nil), relay.BlameOrigin},
		"nothing listens":                   {conformance.NewDelivery(operatorsTarget(t, "http://"+harness.FreeAddress(t)), nil), relay.BlameOrigin},
		"503":                               {conformance.NewDelivery(operatorsTarget(t, unavailable.URL), nil), relay.BlameTarget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := h.Deliver(t.Context(), c.delivery)
			if out.Class.Accepted() || out.Blame != c.blame || out.Lack != relay.ResourceNone {
				t.Errorf("class %d, blame %d, lack %q: %s", out.Class, out.Blame, out.Lack, out.Error)
			}
		})
	}
	if out := h.Deliver(t.Context(), badHeader); out.Class != relay.ClassRejected && out.Blame != relay.BlameNone {
		t.Errorf("a header that no request can carry: class %d, blame %d: %s", out.Class, out.Blame, out.Error)
	}
}
