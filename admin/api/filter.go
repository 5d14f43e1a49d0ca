package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relay"
	"relay/operate"
)

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

// moment reads a time of a request; an empty one is none.
func (m Moment) moment(field string) (at operate.Moment, err error) {
	if m == "" {
		return at, nil
	}
	if err := at.UnmarshalText([]byte(m)); err != nil {
		return at, wrong(field, "neither a time, as 2026-01-31T12:00:00Z, nor a time span before now, as 2h or 7d")
	}
	if year := at.Year(); year < 1970 || year > 9999 {
		return at, wrong(field, "a year from 1970 to 9999 is needed")
	}
	return at, nil
}

// wrong is a problem with one part of a request.
func wrong(field, message string) *Problem {
	p := problem(http.StatusUnprocessableEntity, codeInvalid, field+": "+message, hintOfStatus(http.StatusUnprocessableEntity)).with("field", field)
	p.Errors = []Mistake{{Location: field, Message: message}}
	return p
}

// operate is the filter as package operate has it, and the stage beside it.
func (f Filter) operate() (out operate.Filter, stage operate.Stage, err error) {
	out = operate.Filter{
		IDs: f.ID, Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Error: f.Error, Text: f.Text,
		Status: words[relay.MessageStatus](f.Status), DeliveryStatus: words[relay.DeliveryStatus](f.DeliveryStatus), Causes: words[relay.Cause](f.Cause),
	}
	for _, m := range []struct {
		field string
		from  Moment
		to    *operate.Moment
	}{
		{"since", f.Since, &out.Since}, {"until", f.Until, &out.Until},
		{"updated_since", f.UpdatedSince, &out.UpdatedSince}, {"updated_until", f.UpdatedUntil, &out.UpdatedUntil},
	} {
		if *m.to, err = m.from.moment(m.field); err != nil {
			return out, "", err
		}
	}
	return out, operate.Stage(f.Stage), nil
}

// words turns texts into words of a closed list.
func words[T ~string](texts []string) (out []T) {
	for _, text := range texts {
		out = append(out, T(text))
	}
	return out
}

// narrowBy lists the filters that would make a search faster, the best first.
func (f Filter) narrowBy() (names []string) {
	for _, c := range []struct {
		name  string
		given bool
	}{
		{"key", f.Key != ""}, {"id", len(f.ID) > 0}, {"status", len(f.Status) > 0}, {"since", f.Since != ""},
		{"subscription", f.Subscription != ""},
	} {
		if !c.given {
			names = append(names, c.name)
		}
	}
	return names
}

// shownFilter is a filter of package operate as the API shows it.
func shownFilter(f operate.Filter) Filter {
	return Filter{
		ID: f.IDs, Topic: f.Topic, Key: f.Key, Source: f.Source, Subscription: f.Subscription, Error: f.Error, Text: f.Text,
		Status: textsOf(f.Status), DeliveryStatus: textsOf(f.DeliveryStatus), Cause: textsOf(f.Causes),
		Since: shownMoment(f.Since), Until: shownMoment(f.Until), UpdatedSince: shownMoment(f.UpdatedSince), UpdatedUntil: shownMoment(f.UpdatedUntil),
	}
}

// textsOf turns words of a closed list into texts.
func textsOf[T ~string](list []T) (out []string) {
	for _, one := range list {
		out = append(out, string(one))
	}
	return out
}

func shownMoment(m operate.Moment) Moment {
	if m.IsZero() {
		return ""
	}
	return Moment(m.UTC().Format("2006-01-02T15:04:05.999999Z07:00"))
}
