// Package notify routes messages and delivers them: which subscribers a message has, which
// attempts are under way at once, and what a destination that is down holds up. How an
// attempt is made, and what each answer means, is the matter of one package for each technology:
// webhook for HTTP, amqp for AMQP 0-9-1. They are looked up by the scheme of a target: Technology.
package notify
