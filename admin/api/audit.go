package api

import "time"

// AuditEntry says who did what to which object.
type AuditEntry struct {
	ID      string    `json:"id" doc:"A number of 64 bits."`
	At      time.Time `json:"at"`
	Name    string    `json:"name,omitempty" doc:"As the person said; nothing proves it."`
	Role    string    `json:"role" doc:"viewer, operator, cli, or none."`
	Address string    `json:"address,omitempty" doc:"From which the request came."`
	Action  string    `json:"action" doc:"As message.retry, subscription.set, job.stop, key.skip or session.signin."`
	Kind    string    `json:"object_kind,omitempty" doc:"message, subscription, key, job or session."`
	Object  string    `json:"object,omitempty" doc:"Id or name."`
	Result  string    `json:"result,omitempty" doc:"What it came to."`
	Reason  string    `json:"reason,omitempty" doc:"As the person gave it."`
	Details []Header  `json:"details" doc:"More facts."`
}

type listAuditInput struct {
	PageQuery
	Name   string `query:"name" maxLength:"255" doc:"Who, as the person said."`
	Action string `query:"action" maxLength:"64" doc:"As message.retry."`
	Kind   string `query:"object_kind" maxLength:"32" enum:"message,subscription,key,job,session" doc:"Kind of the object."`
	Object string `query:"object" maxLength:"1024" doc:"Id or name of the object; needs object_kind."`
	Since  Moment `query:"since" doc:"At or after this time: RFC 3339, or a time span before now."`
	Until  Moment `query:"until" doc:"Before this time."`
	Polled
}
