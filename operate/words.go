package operate

// State names how a part of the relay is. Pages say it in their own language, with the values of Words.
type State string

// These are the states. One that pages do not know they show as the English text.
const (
	StateValid        State = "valid"         // the configuration
	StateAnswers      State = "answers"       // the database
	StateStarting     State = "starting"      // the relay is starting
	StateNotConnected State = "not_connected" // the relay has not reached the database yet
	StateNoAnswer     State = "no_answer"     // the part did not answer in time
	StateKnown        State = "known"         // the database is the one that the rows were made in
	StateCopy         State = "copy"          // the database is a copy of another one
	StateOwns         State = "owns"          // shards: n of all, among relays
	StateWaits        State = "waits"         // other relays hold all shards: relays
	StateNoLease      State = "no_lease"      // no lease on shards
	StateWrites       State = "writes"        // outcomes are written: messages and bytes in flight
	StateClosed       State = "closed"        // all circuits
	StateOpen         State = "open"          // circuits: n, and the names of some
	StateFree         State = "free"          // no destination has more than its share of memory
	StateHeld         State = "held"          // n destinations have
	StateStreams      State = "streams"       // commits are heard: lag and restart_lag in bytes where they are known
	StateNoStream     State = "no_stream"     // commits are not heard: the relay polls
	StateConnected    State = "connected"     // the broker
	StateNoBroker     State = "no_broker"     // the broker takes no message: there is no connection, or it blocks
	StateFailed       State = "failed"        // anything else
)

// Words say how a part of the relay is: in English, and as a state with values for other languages. As an error they
// say what is wrong with it.
type Words struct {
	State  State
	Values map[string]string // nil: none
	Text   string            // no secret may stand there
}

// Error implements error.
func (w Words) Error() string { return w.Text }
