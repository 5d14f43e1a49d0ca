package relay

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// These are the bounds of an acknowledgement, in bytes.
const (
	// MaxAckBody is the largest body that is read.
	MaxAckBody = 16 << 10
	// MaxAckError is how much of its error is kept.
	MaxAckError = 2 << 10
)

// AckKey signs the tokens with which consumers acknowledge. All relays of a database share
// the one that its migration made.
type AckKey []byte

// AckSubject is what a token is about: one attempt of one delivery.
type AckSubject struct {
	Message    ID
	Subscriber AckSubscriber
	Attempt    int // from 1
}

// AckSubscriber names subscription and instance of a delivery in a fixed length, since a
// token has to fit into AMQP's correlation id: the first half of the SHA-256 of both with
// a zero byte between them.
type AckSubscriber [16]byte

// AckSubscriberOf returns the name of a subscription and instance.
func AckSubscriberOf(subscription, instance string) (s AckSubscriber) {
	sum := sha256.Sum256([]byte(subscription + "\x00" + instance))
	copy(s[:], sum[:])
	return s
}

// These are the errors of AckKey.Open.
var (
	ErrAckMalformed = errors.New("malformed token")
	ErrAckForged    = errors.New("token not signed by this database's key")
)

// A token is the base64url of a version, the message's id, the subscriber, the attempt and
// the HMAC-SHA256 (RFC 2104) of all that.
const (
	ackVersion   = 1
	ackSigned    = 1 + 16 + 16 + 4
	ackBytes     = ackSigned + sha256.Size
	ackTokenSize = (ackBytes*8 + 5) / 6
)

var ackEncoding = base64.RawURLEncoding.Strict()

// Token returns the signed token of a subject. The bearer of the token may report how the
// consumer's work on the subject ended, and nothing else.
func (k AckKey) Token(s AckSubject) string {
	b := make([]byte, 0, ackBytes)
	b = append(b, ackVersion)
	b = append(b, s.Message[:]...)
	b = append(b, s.Subscriber[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Attempt))
	return ackEncoding.EncodeToString(append(b, k.sum(b)...))
}

// Open returns the subject of a token. It is ErrAckMalformed if the text is no token, and
// ErrAckForged if another key signed it; the comparison takes the same time for each.
func (k AckKey) Open(token string) (AckSubject, error) {
	var s AckSubject
	if len(token) != ackTokenSize {
		return s, ErrAckMalformed
	}
	b, err := ackEncoding.DecodeString(token)
	if err != nil || len(b) != ackBytes || b[0] != ackVersion {
		return s, ErrAckMalformed
	}
	if len(k) == 0 || !hmac.Equal(b[ackSigned:], k.sum(b[:ackSigned])) {
		return s, ErrAckForged
	}
	copy(s.Message[:], b[1:])
	copy(s.Subscriber[:], b[17:])
	s.Attempt = int(binary.BigEndian.Uint32(b[33:]))
	return s, nil
}

func (k AckKey) sum(b []byte) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write(b) // a hash never fails
	return mac.Sum(nil)
}

// AckToken returns the token of a delivery at its present attempt.
func (d *Delivery) AckToken(k AckKey) string {
	return k.Token(AckSubject{Message: d.Message.ID, Subscriber: AckSubscriberOf(d.Subscriber.Name, d.Instance), Attempt: d.Attempt})
}

// Ack is a consumer's word on how its work on a message ended.
type Ack struct {
	Handled bool
	// Retry says that a failed one may be tried again.
	Retry bool
	// Error is the consumer's own text, at most MaxAckError bytes of UTF-8. It may be empty.
	Error string
}

// Final reports whether the word ends the delivery.
func (a Ack) Final() bool { return a.Handled || !a.Retry }

// ParseAck reads the JSON of an acknowledgement. Members that it does not know mean nothing.
func ParseAck(body []byte) (Ack, error) {
	if len(body) > MaxAckBody {
		return Ack{}, errors.New("an acknowledgement has at most 16 KiB")
	}
	var v struct {
		Outcome string `json:"outcome"`
		Error   string `json:"error"`
		Retry   *bool  `json:"retry"`
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) || json.Unmarshal(body, &v) != nil {
		return Ack{}, errors.New(`not an acknowledgement: write {"outcome":"handled"} or {"outcome":"failed","error":"…","retry":true}`)
	}
	switch v.Outcome {
	case "handled":
		return Ack{Handled: true}, nil
	case "failed":
		return Ack{Retry: v.Retry == nil || *v.Retry, Error: ackText(v.Error)}, nil
	}
	return Ack{}, errors.New(`the outcome of an acknowledgement is "handled" or "failed"`)
}

// ackText is a text that PostgreSQL can store, at most MaxAckError bytes of it.
func ackText(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= MaxAckError {
		return s
	}
	n := MaxAckError
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// AckResult is what became of an acknowledgement.
type AckResult string

// These are the results. All but the first two are without effect.
const (
	AckHandled   AckResult = "handled"   // taken: the work succeeded
	AckFailed    AckResult = "failed"    // taken: the work failed
	AckRepeated  AckResult = "repeated"  // the same was said of this attempt before
	AckLate      AckResult = "late"      // the delivery has ended
	AckUnknown   AckResult = "unknown"   // the message is not kept any more
	AckForged    AckResult = "forged"    // another key signed the token
	AckMalformed AckResult = "malformed" // the token is none
	AckBadBody   AckResult = "bad_body"  // the token is good, the body cannot be read
)

// AckResults lists all of them.
var AckResults = []AckResult{AckHandled, AckFailed, AckRepeated, AckLate, AckUnknown, AckForged, AckMalformed, AckBadBody}
