package api

import "time"

// BlockedKey is a key that waits at one subscriber and instance.
type BlockedKey struct {
	Subscription string    `json:"subscription"`
	Instance     string    `json:"instance,omitempty" doc:"Without what may be secret."`
	Key          string    `json:"key"`
	Head         KeyHead   `json:"head" doc:"The delivery that holds the key."`
	Since        time.Time `json:"since" doc:"When the head died, or was due first."`
	Waiting      Count     `json:"waiting" doc:"Deliveries behind the head."`
}

// KeyHead is the delivery that holds a key.
type KeyHead struct {
	MessageID     string     `json:"message_id" format:"uuid"`
	Status        string     `json:"status" enum:"waiting,push_failed,handle_failed,dead"`
	Reason        string     `json:"reason,omitempty" doc:"Why it waits; absent: it was tried."`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	Cause         string     `json:"cause,omitempty"`
	Error         string     `json:"error,omitempty"`
}

type listKeysInput struct {
	PageQuery
	Subscription string `query:"subscription" maxLength:"255" doc:"Of this subscriber alone; direct and default are two."`
	Polled
}

// ChangeKeys is what a person wants done to the heads of keys.
type ChangeKeys struct {
	Subscription string   `json:"subscription" minLength:"1" maxLength:"255"`
	Keys         []string `json:"keys" minItems:"1" maxItems:"100" doc:"Ordering keys, each once."`
	Reason       string   `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type changeKeysInput struct {
	Body ChangeKeys
}

// KeyResult is what became of the head of one key at one instance.
type KeyResult struct {
	Key       string `json:"key"`
	Instance  string `json:"instance,omitempty" doc:"Without what may be secret."`
	MessageID string `json:"message_id,omitempty" format:"uuid" doc:"The head. Absent: the key does not wait."`
	Effect    string `json:"effect" enum:"retried,skipped,not_dead,is_pending,not_waiting,has_changed,locked,refused" doc:"What was done, or why nothing was."`
	Succeeded bool   `json:"succeeded"`
	Detail    string `json:"detail,omitempty"`
}

// KeyResults is what became of each key.
type KeyResults struct {
	Results   []KeyResult `json:"results"`
	Succeeded int         `json:"succeeded"`
	Failed    int         `json:"failed"`
	AsOf      time.Time   `json:"as_of"`
}
