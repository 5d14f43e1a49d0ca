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

// secretPrefix begins a secret in the text form of Standard Webhooks.
const secretPrefix = "whsec_"

// The bounds that Standard Webhooks sets for a symmetric secret, in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// ParseSecrets splits a list of signing secrets at commas and white space and checks each:
// "whsec_" and the base64 of 24 to 64 bytes, as Standard Webhooks 1.0.0 has it. The order
// is kept, newest first. Its error names the place in the list and never repeats a secret.
// An empty text is an empty list.
func ParseSecrets(s string) ([]string, error) {
	secrets := strings.FieldsFunc(s, isSeparator)
	if _, err := signingKeys(secrets); err != nil {
		return nil, err
	}
	return secrets, nil
}

func isSeparator(r rune) bool {
	return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n'
}

// signingKeys decodes secrets in their order.
func signingKeys(secrets []string) ([][]byte, error) {
	keys := make([][]byte, 0, len(secrets))
	for i, secret := range secrets {
		encoded, found := strings.CutPrefix(secret, secretPrefix)
		if !found {
			return nil, fmt.Errorf("secret %d of %d does not begin with %s", i+1, len(secrets), secretPrefix)
		}
		// The decoder's error would tell where in the secret it stumbled; nobody needs that.
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d is not %s and base64", i+1, len(secrets), secretPrefix)
		}
		if len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("secret %d of %d has %d bytes, %d to %d are allowed", i+1, len(secrets), len(key), minSecret, maxSecret)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

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
	keys, err := signingKeys(secrets)
	if err != nil {
		return nil, err
	}
	if keys, err = rowKeys(keys, target); err != nil {
		return nil, err
	}
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = secretPrefix + base64.StdEncoding.EncodeToString(key)
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
