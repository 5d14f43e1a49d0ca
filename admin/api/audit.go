package api

type listAuditInput struct {
	PageQuery
	Name   string `query:"name" maxLength:"255" doc:"The name of the person, as given at sign-in."`
	Role   string `query:"role" maxLength:"32" enum:"viewer,operator,cli,none" doc:"The role that the person had."`
	Action string `query:"action" maxLength:"64" doc:"As message.retry."`
	Kind   string `query:"object_kind" maxLength:"32" enum:"message,subscription,key,job,failure,session,database" doc:"Kind of the object."`
	Object string `query:"object" maxLength:"1024" doc:"Id or name of the object; needs object_kind."`
	Since  Moment `query:"since" doc:"At or after this time: RFC 3339, or a time span before now."`
	Until  Moment `query:"until" doc:"Before this time."`
	Polled
}
