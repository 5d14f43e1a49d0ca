package webhook

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"relay"
)

// rowKeyInfo begins what a key for rows' own destinations is derived for; the origin follows.
const rowKeyInfo = "relay row destination v1 "

// rowKeySize is the length in bytes of such a key.
const rowKeySize = 32

// rowKeys derives from each key the one that signs what rows send to a destination of their
// own: HKDF with SHA-256 and no salt (RFC 5869), for the origin of the destination. A role that may
// write a row can have anything signed, and choose where it goes: the signature must be
// of no use anywhere else, above all not at the operator's receivers.
func rowKeys(keys [][]byte, target relay.Target) ([][]byte, error) {
	derived := make([][]byte, len(keys))
	for i, key := range keys {
		var err error
		if derived[i], err = hkdf.Key(sha256.New, key, nil, rowKeyInfo+target.WebOrigin(), rowKeySize); err != nil {
			return nil, fmt.Errorf("derive the key of %s: %w", target.WebOrigin(), err)
		}
	}
	return derived, nil
}

// RowSecrets returns the secrets by which a receiver at an HTTP target checks messages of
// rows that name it as their destination, one for each of the secrets and in their order.
// Its error never repeats a secret.
func RowSecrets(secrets []string, target relay.Target) ([]string, error) {
	keys, err := relay.SigningKeys(secrets)
	if err != nil {
		return nil, err
	}
	if keys, err = rowKeys(keys, target); err != nil {
		return nil, err
	}
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = relay.SigningPrefix + base64.StdEncoding.EncodeToString(key)
	}
	return texts, nil
}

// signature returns the value of webhook-signature: for each key "v1," and the base64 of
// HMAC-SHA256 over "id.timestamp.body", separated by spaces. Empty without keys.
func signature(keys [][]byte, id relay.ID, timestamp string, body []byte) string {
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id.String() + "." + timestamp + "."))
		mac.Write(body)
		b.WriteString("v1,")
		b.WriteString(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}
