package api

import "relay/admin/access"

const (
	anybody  = access.None // also without a token
	viewer   = access.Viewer
	operator = access.Operator
)

// roles assigns a role to every operation. One that does not stand here cannot be registered.
var roles = map[string]access.Role{
	"get-openapi":  anybody,
	"get-session":  anybody,
	"sign-in":      anybody,
	"sign-out":     anybody,
	"make-link":    operator,
	"get-settings": viewer,
	"get-overview": viewer,
	"get-pulse":    viewer,
	"list-audit":   viewer,

	"list-messages":   viewer,
	"count-messages":  viewer,
	"get-message":     viewer,
	"get-payload":     viewer,
	"insert-message":  operator,
	"retry-message":   operator,
	"cancel-message":  operator,
	"copy-message":    operator,
	"retry-messages":  operator,
	"cancel-messages": operator,

	"retry-deliveries":       operator,
	"cancel-deliveries":      operator,
	"acknowledge-deliveries": operator,

	"list-subscriptions":  viewer,
	"get-subscription":    viewer,
	"list-deliveries":     viewer,
	"list-instances":      viewer,
	"put-subscription":    operator,
	"delete-subscription": operator,
	"pause-subscription":  operator,
	"resume-subscription": operator,
	"test-subscription":   operator,

	"list-keys":  viewer,
	"skip-keys":  operator,
	"retry-keys": operator,

	"list-failures": viewer,
	"get-failure":   viewer,
	"set-note":      operator,

	"list-senders": viewer,
	"get-sender":   viewer,

	"list-jobs":        viewer,
	"get-job":          viewer,
	"list-job-results": viewer,
	"start-job":        operator,
	"stop-job":         operator,
	"resume-job":       operator,
	"set-job-rate":     operator,
}
