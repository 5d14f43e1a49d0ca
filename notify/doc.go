// Package notify routes messages and delivers them: which subscribers a message has,
// how one attempt is made over HTTP and AMQP 0-9-1, and what each answer means.
package notify
