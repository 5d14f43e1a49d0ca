package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"relay"
	"relay/sql"
)

// AckPath is what stands between RELAY_ACK_URL and a token.
const AckPath = "/ack/"

// acknowledger takes what consumers say. An error says that it cannot now and that they
// should try again.
type acknowledger interface {
	Acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error)
}

// NewAckHandler returns what answers at RELAY_ACK_ADDR: POST /ack/<token> with the JSON of
// relay.ParseAck.
//
//	204   taken, or the same failure was told before
//	400   the body is no acknowledgement
//	404   no such token, forged ones among them
//	409   the delivery has ended
//	503   the database does not answer, or another session has locked the message: try again
func NewAckHandler(taker acknowledger, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+AckPath+"{token...}", func(w http.ResponseWriter, r *http.Request) {
		// What is too large to be read whole is no acknowledgement.
		body, err := io.ReadAll(io.LimitReader(r.Body, relay.MaxAckBody+1))
		if err != nil {
			http.Error(w, "the body could not be read", http.StatusBadRequest)
			return
		}
		result, err := taker.Acknowledge(r.Context(), r.PathValue("token"), body)
		if err != nil {
			log.Debug("an acknowledgement could not be stored", "error", err)
			w.Header().Set("Retry-After", "1")
			http.Error(w, unavailable(err), http.StatusServiceUnavailable)
			return
		}
		answerAck(w, result, body)
	})
	return mux
}

// unavailable says why an acknowledgement cannot be taken now.
func unavailable(err error) string {
	if errors.Is(err, sql.ErrHeld) {
		return "another session of the database has locked the message; try again"
	}
	return "the relay cannot take acknowledgements now; try again"
}

func answerAck(w http.ResponseWriter, result relay.AckResult, body []byte) {
	switch result {
	case relay.AckHandled, relay.AckFailed:
		w.WriteHeader(http.StatusNoContent)
	case relay.AckRepeated:
		if ack, err := relay.ParseAck(body); err == nil && !ack.Final() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(w, "this delivery has ended", http.StatusConflict)
	case relay.AckLate:
		http.Error(w, "this delivery has ended", http.StatusConflict)
	case relay.AckBadBody:
		_, err := relay.ParseAck(body)
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, "there is no such token", http.StatusNotFound)
	}
}
