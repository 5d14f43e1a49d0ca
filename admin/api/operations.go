package api

import "net/http"

func (a *API) registerMessages() {
	register(a, operation{
		id: "list-messages", method: http.MethodGet, path: "/messages", summary: "Search messages",
		description: "The newest first, in the order of creation. A search looks for at most 150 ms and says how far it came: " +
			"if complete is false, next goes on there. Without since, it goes back to the oldest message.",
	}, a.listMessages)
	register(a, operation{
		id: "count-messages", method: http.MethodGet, path: "/messages/count", summary: "Count messages",
		description: "Counts what a filter matches, for at most a second; then the count is at_least.",
	}, a.countMessages)
	register(a, operation{
		id: "insert-message", method: http.MethodPost, path: "/messages", summary: "Insert a message",
		description: "Inserts a row of relay.outbox, as an application does. 201, or 200 if an earlier request with the same Idempotency-Key inserted it.",
		status:      http.StatusCreated, also: []int{http.StatusOK}, body: a.maxBody,
	}, a.insertMessage)
	register(a, operation{
		id: "retry-messages", method: http.MethodPost, path: "/messages/retry", summary: "Send chosen messages again",
	}, a.retryMessages)
	register(a, operation{
		id: "cancel-messages", method: http.MethodPost, path: "/messages/cancel", summary: "Cancel chosen messages",
	}, a.cancelMessages)
}

func (a *API) registerMessage() {
	register(a, operation{
		id: "get-message", method: http.MethodGet, path: "/messages/{id}", summary: "Show a message",
		description: "All that the tables hold of it, with one timeline. The payload has an operation of its own.",
	}, a.getMessage)
	register(a, operation{
		id: "get-payload", method: http.MethodGet, path: "/messages/{id}/payload", summary: "Payload of a message",
		description: "Byte for byte as it is sent, as application/octet-stream and an attachment: no browser renders it.",
		raw:         "application/octet-stream",
	}, a.getPayload)
	register(a, operation{
		id: "retry-message", method: http.MethodPost, path: "/messages/{id}/retry", summary: "Send a message again",
		description: "With a subscription: to it alone. With force: also what ended well; receivers get it again under the same id.",
	}, a.retryMessage)
	register(a, operation{
		id: "cancel-message", method: http.MethodPost, path: "/messages/{id}/cancel", summary: "Cancel a message",
	}, a.cancelMessage)
	register(a, operation{
		id: "copy-message", method: http.MethodPost, path: "/messages/{id}/copy", summary: "Send a message as a new one",
		description: "The copy has an id of its own and the header relay-original-id.", status: http.StatusCreated,
	}, a.copyMessage)
}

func (a *API) registerDeliveries() {
	register(a, operation{
		id: "list-deliveries", method: http.MethodGet, path: "/subscriptions/{name}/deliveries", summary: "Search deliveries of a subscription",
		description: "The newest message first. A search looks for at most 150 ms and says how far it came.",
	}, a.listDeliveries)
	register(a, operation{
		id: "list-instances", method: http.MethodGet, path: "/subscriptions/{name}/instances", summary: "List instances of a subscription",
		description: "Those of a broadcast that its newest deliveries within a day went to.",
	}, a.listInstances)
	register(a, operation{
		id: "retry-deliveries", method: http.MethodPost, path: "/deliveries/retry", summary: "Send chosen deliveries again",
	}, a.retryDeliveries)
	register(a, operation{
		id: "cancel-deliveries", method: http.MethodPost, path: "/deliveries/cancel", summary: "Cancel chosen deliveries",
	}, a.cancelDeliveries)
	register(a, operation{
		id: "acknowledge-deliveries", method: http.MethodPost, path: "/deliveries/acknowledge", summary: "Give the consumer's word",
		description: "Ends deliveries that were accepted once, as if the consumer had said that it handled them: they are not sent to it again, and their keys go on.",
	}, a.acknowledge)
}

func (a *API) registerSubscriptions() {
	register(a, operation{
		id: "list-subscriptions", method: http.MethodGet, path: "/subscriptions", summary: "List subscriptions",
		description: "By name, with what stands at each; direct and default are there if anything ever went to them.",
	}, a.listSubscriptions)
	register(a, operation{
		id: "get-subscription", method: http.MethodGet, path: "/subscriptions/{name}", summary: "Show a subscription",
	}, a.getSubscription)
	register(a, operation{
		id: "put-subscription", method: http.MethodPut, path: "/subscriptions/{name}", summary: "Make or change a subscription",
		description: "201 if it was made. One that exists is changed only if If-Match names its version, so that two people do not " +
			"overwrite each other: 428 without, 412 if it has changed meanwhile.",
		also: []int{http.StatusCreated},
	}, a.putSubscription)
	register(a, operation{
		id: "delete-subscription", method: http.MethodDelete, path: "/subscriptions/{name}", summary: "Delete a subscription",
		description: "Refused with 409 while deliveries are outstanding, unless cancel_outstanding is set. 202 if cancelling took too long: ask again.",
		also:        []int{http.StatusAccepted},
	}, a.deleteSubscription)
	register(a, operation{
		id: "pause-subscription", method: http.MethodPost, path: "/subscriptions/{name}/pause", summary: "Keep a subscription's messages in the table",
	}, a.pauseSubscription)
	register(a, operation{
		id: "resume-subscription", method: http.MethodPost, path: "/subscriptions/{name}/resume", summary: "Send a subscription's messages again",
	}, a.resumeSubscription)
	register(a, operation{
		id: "test-subscription", method: http.MethodPost, path: "/subscriptions/{name}/test", summary: "Send a test message to a subscription alone",
		description: "Answers at once with the message's id; GET /messages/{id} shows what becomes of it.", status: http.StatusAccepted,
	}, a.testSubscription)
}

func (a *API) registerKeys() {
	register(a, operation{
		id: "list-keys", method: http.MethodGet, path: "/keys", summary: "List keys that wait",
		description: "By subscription and key, with the delivery that holds each.",
	}, a.listKeys)
	register(a, operation{
		id: "skip-keys", method: http.MethodPost, path: "/keys/skip", summary: "Let keys go on without their dead heads",
		description: "Cancels the dead delivery that holds each key, at this subscription alone.",
	}, a.skipKeys)
	register(a, operation{
		id: "retry-keys", method: http.MethodPost, path: "/keys/retry", summary: "Send the heads of keys again at once",
	}, a.retryKeys)
}

func (a *API) registerFailures() {
	register(a, operation{
		id: "list-failures", method: http.MethodGet, path: "/failures", summary: "Failures by subscriber and cause",
		description: "The largest group first.",
	}, a.listFailures)
	register(a, operation{
		id: "get-failure", method: http.MethodGet, path: "/failures/sample", summary: "A closer look at one group of failures",
		description: "Finer groups by the text of the error, from the newest 1,000.",
	}, a.getFailure)
	register(a, operation{
		id: "set-note", method: http.MethodPut, path: "/failures/note", summary: "Write a note at a group of failures",
	}, a.setNote)
}

func (a *API) registerSenders() {
	register(a, operation{
		id: "list-senders", method: http.MethodGet, path: "/senders", summary: "List senders",
	}, a.listSenders)
	register(a, operation{
		id: "get-sender", method: http.MethodGet, path: "/senders/{source}", summary: "Show a sender",
	}, a.getSender)
}

func (a *API) registerJobs() {
	register(a, operation{
		id: "start-job", method: http.MethodPost, path: "/jobs", summary: "Start a job, or preview one",
		description: "A job retries, cancels or replays all messages that a filter matches. It begins 5 seconds after it was made; " +
			"until then it can be stopped before it has done anything. 201 if one was made; 200 for a preview and for a repeated request.",
		status: http.StatusCreated, also: []int{http.StatusOK},
	}, a.startJob)
	register(a, operation{
		id: "list-jobs", method: http.MethodGet, path: "/jobs", summary: "List jobs", description: "The newest first.",
	}, a.listJobs)
	register(a, operation{
		id: "get-job", method: http.MethodGet, path: "/jobs/{id}", summary: "Show a job",
	}, a.getJob)
	register(a, operation{
		id: "list-job-results", method: http.MethodGet, path: "/jobs/{id}/results", summary: "What a job did to each message",
	}, a.listJobResults)
	register(a, operation{
		id: "stop-job", method: http.MethodPost, path: "/jobs/{id}/stop", summary: "Stop a job",
		description: "With the answer nothing is changed any more.",
	}, a.stopJob)
	register(a, operation{
		id: "resume-job", method: http.MethodPost, path: "/jobs/{id}/resume", summary: "Have a job go on, perhaps at another rate",
	}, a.resumeJob)
	register(a, operation{
		id: "set-job-rate", method: http.MethodPost, path: "/jobs/{id}/rate", summary: "Change how fast a job goes",
		description: "Holds from the next batch of messages on.",
	}, a.setJobRate)
}

func (a *API) registerOverview() {
	register(a, operation{
		id: "get-overview", method: http.MethodGet, path: "/overview", summary: "How everything stands",
	}, a.getOverview)
	register(a, operation{
		id: "get-pulse", method: http.MethodGet, path: "/pulse", summary: "Rates, latencies and what was outstanding over time",
		description: "By the minute, kept for 8 days, of one subscription or of all.",
	}, a.getPulse)
	register(a, operation{
		id: "list-audit", method: http.MethodGet, path: "/audit", summary: "Changes, and which person made them",
		description: "The newest first. Sign-ins and refusals too.",
	}, a.listAudit)
}
