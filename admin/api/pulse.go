package api

type pulseInput struct {
	Subscription string `query:"subscription" maxLength:"255" doc:"Deliveries to this subscriber alone; absent: all."`
	From         Moment `query:"from" doc:"Begin: RFC 3339, or a time span before now. 1h if absent."`
	To           Moment `query:"to" doc:"End. Now if absent."`
	Step         int    `query:"step" minimum:"60" maximum:"86400" doc:"Seconds of one point, a multiple of 60. Chosen to give at most 180 points if absent."`
	Polled
}
