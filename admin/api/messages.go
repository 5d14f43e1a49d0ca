package api

import "time"

// MessageItem is a message in a list.
type MessageItem struct {
	ID          string          `json:"id" format:"uuid"`
	Seq         string          `json:"seq" doc:"Order of insertion, a number of 64 bits."`
	Status      string          `json:"status" enum:"pending,open,done,dead,rejected,cancelled"`
	Stage       string          `json:"stage" enum:"send_failed,committed,push_failed,handle_failed,handled,cancelled" doc:"The stage as the sender sees it."`
	NeedsPerson bool            `json:"needs_person" doc:"A delivery is dead, or the message is rejected: nothing goes on by itself."`
	Topic       string          `json:"topic"`
	Key         string          `json:"key,omitempty" doc:"Ordering key. Absent: no order."`
	Source      string          `json:"source,omitempty" doc:"Sending service as the row names it. Absent: that of the relay."`
	Destination string          `json:"destination,omitempty" doc:"The row's own destination, without what may be secret. Absent: routed by topic."`
	CreatedAt   time.Time       `json:"created_at"`
	DeliverAt   *time.Time      `json:"deliver_at,omitempty" doc:"Not before this time."`
	FinishedAt  *time.Time      `json:"finished_at,omitempty" doc:"When it ended last."`
	Size        int64           `json:"size" doc:"Bytes of the payload."`
	Tried       int             `json:"attempt_count" doc:"Attempts of all deliveries together."`
	Cause       string          `json:"cause,omitempty" doc:"Cause class of the newest failure."`
	Error       string          `json:"error,omitempty" doc:"The newest error, one line."`
	Progress    DeliverySummary `json:"progress"`
}

// DeliverySummary counts the deliveries of one message.
type DeliverySummary struct {
	Total    int           `json:"total" doc:"Deliveries that the message has; 0 before it is taken up."`
	Well     int           `json:"well" doc:"Handled, or delivered where no acknowledgement is awaited."`
	ByStatus []StatusCount `json:"by_status" doc:"None with a count of 0."`
}

type listMessagesInput struct {
	PageQuery
	Filter
	Polled
}

type countMessagesInput struct {
	Filter
	Polled
}

// MessageCount is how many messages match a filter.
type MessageCount struct {
	Count      Count         `json:"count"`
	ByStatus   []StatusCount `json:"by_status" doc:"Of what was counted."`
	SearchedTo *time.Time    `json:"searched_to,omitempty" doc:"Counting went from the newest back to here."`
	Complete   bool          `json:"complete" doc:"Everything was counted."`
	AsOf       time.Time     `json:"as_of"`
	TookMS     float64       `json:"took_ms"`
	NarrowBy   []string      `json:"narrow_by,omitempty" doc:"Where counting reached its limit: the filters that would make it faster."`
}

// NewMessage is a message to be inserted.
type NewMessage struct {
	ID          string            `json:"id,omitempty" maxLength:"36" doc:"An id of your own, a UUID. A second message with it is refused with 409."`
	Topic       string            `json:"topic" minLength:"1" maxLength:"255"`
	Key         string            `json:"key,omitempty" maxLength:"1024" doc:"Ordering key."`
	Payload     *string           `json:"payload,omitempty" doc:"Text, delivered byte for byte. Valid JSON if the content type is application/json."`
	Body        []byte            `json:"body,omitempty" doc:"Binary payload instead of payload, base64."`
	ContentType string            `json:"content_type,omitempty" maxLength:"255" doc:"application/json if absent."`
	Headers     map[string]string `json:"headers,omitempty" doc:"Sent along."`
	Source      string            `json:"source,omitempty" maxLength:"255" doc:"Sending service. Absent: RELAY_SOURCE."`
	Destination string            `json:"destination,omitempty" maxLength:"2048" doc:"A target, or the name of a subscription. Absent: routed by topic."`
	DeliverAt   *time.Time        `json:"deliver_at,omitempty" doc:"Not before this time."`
	Delay       string            `json:"delay,omitempty" maxLength:"64" doc:"Not before this time span from now, as 90s or 2h, instead of deliver_at."`
	Reason      string            `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

type insertMessageInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A request with the same key and content is answered as the first one was, and inserts nothing."`
	Body           NewMessage
}

// Inserted is the message that an insert or a copy made.
type Inserted struct {
	ID         string `json:"id" format:"uuid"`
	OriginalID string `json:"original_id,omitempty" format:"uuid" doc:"Of a copy: the message that was copied."`
	Created    bool   `json:"created" doc:"False: an earlier request with the same Idempotency-Key made it."`
}

type insertedOutput struct {
	Status   int
	Location string `header:"Location" doc:"Path of the message."`
	Body     Inserted
}

// Change is what a person wants done to messages.
type Change struct {
	Subscription string `json:"subscription,omitempty" maxLength:"255" doc:"Only the delivery to this subscriber. Absent: the message as a whole."`
	Force        bool   `json:"force,omitempty" doc:"Retry also what ended well: receivers get it again under the same id."`
	Reason       string `json:"reason,omitempty" maxLength:"1000" doc:"For the audit."`
}

// ChangeMany is what a person wants done to chosen messages.
type ChangeMany struct {
	IDs []string `json:"ids" minItems:"1" maxItems:"500" doc:"Ids of messages, each once."`
	Change
}

type changeManyInput struct {
	Body ChangeMany
}

// Result is what became of one message or delivery.
type Result struct {
	ID        string `json:"id" format:"uuid" doc:"The message."`
	Effect    string `json:"effect" enum:"retried,replayed,under_way,cancelled,already_cancelled,acknowledged,skipped,not_found,not_ended,ended_well,has_changed,no_delivery,not_dead,is_pending,locked,refused" doc:"What was done, or why nothing was."`
	Succeeded bool   `json:"succeeded" doc:"It is now as the request wanted it."`
	Detail    string `json:"detail,omitempty" doc:"More words, where there are any."`
}

// Results is what became of each message.
type Results struct {
	Results   []Result  `json:"results" doc:"In the order of the request."`
	Succeeded int       `json:"succeeded" doc:"How many are now as the request wanted them."`
	Failed    int       `json:"failed" doc:"How many are not."`
	AsOf      time.Time `json:"as_of"`
}
