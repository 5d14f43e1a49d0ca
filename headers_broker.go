package relay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// brokerPrefix begins the headers by which a message asks something of a broker, as FoldHeader
// writes them. They become properties of the message there, and are not sent anywhere else.
const brokerPrefix = "amqp-"

// brokerHeaders are the headers with that prefix that there are, and the largest number of each.
var brokerHeaders = map[string]uint64{
	"amqp-priority":   math.MaxUint8,
	"amqp-expiration": math.MaxUint32, // milliseconds; RabbitMQ takes no more
	"amqp-x-delay":    math.MaxInt32,  // milliseconds, for an exchange of type x-delayed-message
}

// BrokerProperties are what a message asks of a broker. Nil means that the message asks for nothing.
type BrokerProperties struct {
	Priority   *uint8
	Expiration *uint32 // milliseconds
	Delay      *int32  // milliseconds
}

// IsBrokerHeader reports whether a header is for a broker alone.
func IsBrokerHeader(name string) bool { return strings.HasPrefix(FoldHeader(name), brokerPrefix) }

// BrokerPropertiesOf reads what headers that ParseHeaders has taken ask of a broker.
func BrokerPropertiesOf(headers map[string]string) (p BrokerProperties) {
	for name, value := range headers {
		if !IsBrokerHeader(name) {
			continue
		}
		n, err := parseBrokerHeader(FoldHeader(name), value)
		if err != nil {
			continue // ParseHeaders has rejected it
		}
		switch FoldHeader(name) {
		case "amqp-priority":
			p.Priority = new(uint8)
			*p.Priority = uint8(n)
		case "amqp-expiration":
			p.Expiration = new(uint32)
			*p.Expiration = uint32(n)
		case "amqp-x-delay":
			p.Delay = new(int32)
			*p.Delay = int32(n)
		}
	}
	return p
}

// checkBrokerHeader judges a header that begins with brokerPrefix.
func checkBrokerHeader(name, value string) error {
	most, known := brokerHeaders[FoldHeader(name)]
	if !known {
		return Rejection(fmt.Sprintf("header %q: there are amqp-priority, amqp-expiration and amqp-x-delay, and no other name may begin with amqp-", name))
	}
	if _, err := parseBrokerHeader(FoldHeader(name), value); err != nil {
		return Rejection(fmt.Sprintf("header %q: its value must be a whole number from 0 to %d", name, most))
	}
	return nil
}

// parseBrokerHeader reads the number of a header whose name is folded.
func parseBrokerHeader(name, value string) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err == nil && n > brokerHeaders[name] {
		err = strconv.ErrRange
	}
	return n, err
}
