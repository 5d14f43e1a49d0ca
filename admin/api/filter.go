package api

import "github.com/danielgtaylor/huma/v2"

// Moment is a time in a request: RFC 3339, or a time span before now.
type Moment string

// Schema implements huma.SchemaProvider.
func (Moment) Schema(huma.Registry) *huma.Schema {
	most := 64
	return &huma.Schema{
		Type: huma.TypeString, MaxLength: &most, Examples: []any{"2h", "2026-01-31T12:00:00Z"},
		Description: "A time, as 2026-01-31T12:00:00Z, or a time span before now, as 15m, 2h or 7d.",
	}
}

// Filter says which messages are meant. An empty field matches all.
type Filter struct {
	Since          Moment   `json:"since,omitempty" query:"since" doc:"Created at or after this time: RFC 3339, or a time span before now, as 15m, 2h or 7d."`
	Until          Moment   `json:"until,omitempty" query:"until" doc:"Created before this time: RFC 3339, or a time span before now."`
	UpdatedSince   Moment   `json:"updated_since,omitempty" query:"updated_since" doc:"Ended, or a delivery changed, at or after this time."`
	UpdatedUntil   Moment   `json:"updated_until,omitempty" query:"updated_until" doc:"Ended, or a delivery changed, before this time."`
	Status         []string `json:"status,omitempty" query:"status" maxItems:"6" enum:"pending,open,done,dead,rejected,cancelled" doc:"Status of the message; several match any."`
	Stage          string   `json:"stage,omitempty" query:"stage" enum:"send_failed,committed,push_failed,handle_failed,handled,cancelled" doc:"The stage as the sender sees it."`
	DeliveryStatus []string `json:"delivery_status,omitempty" query:"delivery_status" maxItems:"8" enum:"waiting,push_failed,handle_failed,awaiting_ack,delivered,handled,dead,cancelled" doc:"A delivery has one of these; with subscription, the delivery to it."`
	ID             []string `json:"id,omitempty" query:"id" maxItems:"500" doc:"Ids of messages."`
	Topic          string   `json:"topic,omitempty" query:"topic" maxLength:"255" doc:"Topic, or a pattern: * is one word, # any number of words."`
	Key            string   `json:"key,omitempty" query:"key" maxLength:"1024" doc:"Ordering key."`
	Source         string   `json:"source,omitempty" query:"source" maxLength:"255" doc:"Sending service, as the row names it."`
	Subscription   string   `json:"subscription,omitempty" query:"subscription" maxLength:"255" doc:"Subscriber of the message; direct and default are two."`
	Cause          []string `json:"cause,omitempty" query:"cause" maxItems:"64" doc:"Cause class of the last failure, as timeout or http 500; several match any."`
	Error          string   `json:"error,omitempty" query:"error" maxLength:"255" doc:"A part of the last error, in either case of letters."`
	Text           string   `json:"text,omitempty" query:"text" maxLength:"255" doc:"A part of the payload or of the last error, in either case of letters."`
}
