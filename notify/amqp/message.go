package amqp

import (
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

// Limits of what AMQP 0-9-1 and RabbitMQ can carry, in bytes.
const (
	// defaultFrame is RabbitMQ's frame_max. A connection may have agreed on less.
	defaultFrame = 131072
	// maxBody is the largest max_message_size that RabbitMQ can be configured for.
	maxBody = 512 << 20
	// fixedHeader is what a content header needs besides strings: class, weight, body
	// size, flags, delivery mode, timestamp, the length of the table.
	fixedHeader = 2 + 2 + 8 + 2 + 1 + 8 + 4
)

// actingHeaders are names by which a row could make the broker or a consumer's framework
// act: RabbitMQ copies a message to the routing keys in CC and BCC, and closes the
// channel if they are no arrays. They are left out, in any case and spelling; these are the
// folded names.
var actingHeaders = map[string]bool{
	"cc": true, "bcc": true, "user-id": true, "reply-to": true,
}

// message is one delivery in the form in which it is published.
type message struct {
	shard       int16
	destination string // the operator's destination, which has a channel of its own
	namedByRow  bool
	subscriber  string
	target      relay.Target
	routingKey  string
	publishing  amqp091.Publishing
	headerSize  int // of the content header frame's payload, in bytes
}

// newMessage puts the delivery into AMQP's terms. The error is a relay.Rejection where
// they cannot express it: the library would write half a frame and break the connection.
func newMessage(d *relay.Delivery) (*message, error) {
	msg, target := d.Message, d.Subscriber.Target
	if target.Kind != relay.TargetExchange && target.Kind != relay.TargetQueue {
		return nil, relay.Rejection("not an AMQP target: " + target.Redacted())
	}
	m := &message{
		shard:       msg.Shard,
		destination: d.Circuit(),
		namedByRow:  d.Direct(),
		subscriber:  d.Subscriber.Name,
		target:      target,
		routingKey:  target.RoutingKeyFor(msg),
		publishing: amqp091.Publishing{
			Headers:      headersOf(d),
			ContentType:  msg.ContentType,
			DeliveryMode: amqp091.Persistent,
			MessageId:    msg.ID.String(),
			// The message's time, not the attempt's: every attempt is the same message.
			Timestamp: msg.CreatedAt,
			Type:      msg.Topic,
			AppId:     d.Source,
			Body:      msg.Body,
		},
	}
	numberDelay(m.publishing.Headers)
	if m.namedByRow {
		if err := checkRowTarget(target); err != nil {
			return nil, err
		}
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// replyTo tells the consumer where to acknowledge, and by which token.
func (m *message) replyTo(queue, token string) {
	m.publishing.ReplyTo, m.publishing.CorrelationId = queue, token
	m.headerSize += 2 + len(queue) + len(token)
}

// headersOf returns the header table: the subscriber's headers, those of the row that are
// none of these, then the relay's own, which no other may replace. The CloudEvents attributes are named as the
// CloudEvents AMQP binding 1.0 says, with the prefix that JMS can express too.
func headersOf(d *relay.Delivery) amqp091.Table {
	headers := relay.MergeHeaders(d.Subscriber.Headers, d.Headers)
	table := make(amqp091.Table, len(headers)+8)
	for name, value := range headers {
		if !actingHeaders[relay.FoldHeader(name)] {
			table[name] = value
		}
	}
	table["cloudEvents_specversion"] = "1.0"
	table["cloudEvents_id"] = d.Message.ID.String()
	table["cloudEvents_source"] = d.Source
	table["cloudEvents_type"] = d.Message.Topic
	table["cloudEvents_time"] = d.Message.CreatedAt.UTC().Format(time.RFC3339Nano)
	table["relay-attempt"] = int32(d.Attempt)
	if d.Message.Key != "" {
		table["cloudEvents_subject"] = d.Message.Key
		table["relay-key"] = d.Message.Key
	}
	return table
}

// check compares every length with what its field can hold.
func (m *message) check() error {
	p := &m.publishing
	size := fixedHeader
	for _, short := range []struct{ what, value string }{
		{"routing key", m.routingKey},
		{"exchange", m.target.Exchange},
		{"content type", p.ContentType},
		{"message id", p.MessageId},
		{"type (topic)", p.Type},
		{"app id (source)", p.AppId},
	} {
		if len(short.value) > relay.MaxShortString {
			return relay.Rejection(fmt.Sprintf("%s of %d bytes, AMQP allows %d", short.what, len(short.value), relay.MaxShortString))
		}
		size += 1 + len(short.value)
	}
	for name, value := range p.Headers {
		if len(name) > relay.MaxShortString {
			return relay.Rejection(fmt.Sprintf("header name of %d bytes, AMQP allows %d", len(name), relay.MaxShortString))
		}
		text, _ := value.(string) // a number takes what an empty string does
		size += 1 + len(name) + 1 + 4 + len(text)
	}
	m.headerSize = size
	if len(p.Body) > maxBody {
		return relay.Rejection(fmt.Sprintf("body of %d bytes, RabbitMQ allows %d at most", len(p.Body), maxBody))
	}
	return m.checkHeaderSize(defaultFrame)
}

// checkHeaderSize compares the content header, which is one frame, with the largest frame.
// A part is left free: the broker adds headers of its own (x-delivery-count, x-death), and
// a header that then outgrows the frame breaks the consumer's connection.
func (m *message) checkHeaderSize(frame int) error {
	if limit := frame - frame/32; m.headerSize > limit {
		return relay.Rejection(fmt.Sprintf("headers and properties of %d bytes, AMQP allows %d here", m.headerSize, limit))
	}
	return nil
}
