// Package operate holds everything that a person can do with messages: search, show, send, retry, copy and cancel
// them, run jobs, let keys go on, set subscriptions, and see how the system stands. The command line and the API
// both call it, so each rule of validation, of redaction and of what a change means exists once.
//
// A [Service] works on a store. What it returns are views: structs whose JSON both the API and `--json` print.
// Their names are those of the columns, times are RFC 3339 in UTC, a duration names its unit, a number of 64 bits
// is a string, a list is never null, and nothing that may be a secret appears in them: they show targets as
// [relay.ShownTarget] does, only the number of signing secrets, and only the names of headers that carry
// credentials.
//
// Each change takes an [Actor]. The audit entry names it and is written in the transaction of the change.
package operate
