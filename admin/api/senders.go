package api

type listSendersInput struct {
	PageQuery
	Polled
}

type senderInput struct {
	Source string `path:"source" maxLength:"255" doc:"Sending service."`
	Polled
}
