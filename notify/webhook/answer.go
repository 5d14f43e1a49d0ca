package webhook

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"relay"
)

const (
	// maxAnswer is how much of an answer's body is read before the connection is given
	// up, in bytes; up to here reading to the end is cheaper than a new connection.
	maxAnswer = 64 << 10
	// maxRetryAfter caps what an endpoint may ask for.
	maxRetryAfter = time.Hour
)

// readAnswer turns an answer into an outcome. It reads the beginning of the body, within
// the deadline of the request's context, and closes it; a body that is cut short, endless
// or slow changes nothing, because the status has said all.
func readAnswer(resp *http.Response, target relay.Target, now time.Time) relay.Outcome {
	defer resp.Body.Close()
	out := classify(resp.StatusCode, resp.Header, now)
	out.Code = resp.StatusCode
	out.Response = readBody(resp)
	if !out.Class.Accepted() {
		out.Cause = relay.HTTPCause(resp.StatusCode)
		out.Error = fmt.Sprintf("POST %s: %s", target.Redacted(), explain(resp.StatusCode, resp.Header))
	}
	return out
}

// classify is the table of HTTP answers.
func classify(code int, header http.Header, now time.Time) relay.Outcome {
	switch {
	case code >= 200 && code <= 299:
		return relay.Outcome{Class: relay.ClassHandled}
	case code == http.StatusGone, forbidsRetry(header):
		return relay.Outcome{Class: relay.ClassDead}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return relay.Outcome{Class: relay.ClassPushFailed, RetryAfter: retryAfter(header.Get("Retry-After"), now)}
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return relay.Outcome{Class: relay.ClassPushFailed}
	}
	return relay.Outcome{Class: relay.ClassHandleFailed}
}

// forbidsRetry reports whether the endpoint says that another attempt makes no sense.
func forbidsRetry(header http.Header) bool {
	return strings.EqualFold(strings.TrimSpace(header.Get("Relay-Retry")), "false")
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3), seconds or a date, as the time from
// now, at most an hour. Zero means that it is absent, malformed or past.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// readBody returns the first relay.MaxResponse bytes of the body and reads on to its end,
// so that the connection can be used again, or to maxAnswer. After 101 there is no body:
// the connection speaks another protocol, and reading would ignore the deadline.
func readBody(resp *http.Response) []byte {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	first := io.LimitReader(resp.Body, relay.MaxResponse)
	var head []byte
	var err error
	if resp.ContentLength < 0 {
		head, err = io.ReadAll(first)
	} else if head = make([]byte, min(resp.ContentLength, relay.MaxResponse)); len(head) > 0 {
		var n int
		n, err = io.ReadFull(first, head)
		head = head[:n]
	}
	if err == nil {
		// An error means that the connection is of no further use, which Close sees to.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer-relay.MaxResponse))
	}
	return head
}

// explain says in words what an answer that is no success means. It repeats nothing that
// the endpoint wrote: that stands in the response, and may be an echo of the request.
func explain(code int, header http.Header) string {
	text := fmt.Sprintf("answered %d", code)
	if name := http.StatusText(code); name != "" {
		text += " " + name
	}
	if hint := hintFor(code); hint != "" {
		text += "; " + hint
	}
	if code != http.StatusGone && forbidsRetry(header) {
		text += "; it forbids another attempt (relay-retry: false)"
	}
	return text
}

func hintFor(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check the credentials and the secret that signs"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the path of the URL"
	case http.StatusGone:
		return "the endpoint wants no more messages"
	case http.StatusRequestEntityTooLarge:
		return "the endpoint takes no message of this size"
	case http.StatusTooManyRequests:
		return "the endpoint asks for fewer messages"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "the service behind this address does not take requests now"
	}
	if code >= 300 && code <= 399 {
		return "redirects are never followed: set the target to the address where it leads"
	}
	return ""
}
