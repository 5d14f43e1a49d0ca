// Package access decides which requests may use the message centre: tokens, sessions by cookie, links that sign in
// once, the check of the Host header where no token is needed, and a brake on guessing. It keeps no session: a
// cookie carries its own proof, so that it holds at each of several relays, and until it ends or a token changes.
package access
