package relay

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// SigningPrefix begins a signing secret in the text form of Standard Webhooks.
const SigningPrefix = "whsec_"

// The bounds that Standard Webhooks sets for a symmetric secret, in bytes.
const (
	minSigning = 24
	maxSigning = 64
)

// ParseSecrets splits a list of signing secrets at commas and white space and checks each:
// "whsec_" and the base64 of 24 to 64 bytes, as Standard Webhooks 1.0.0 has it. The order
// is kept, newest first. Its error names the place in the list and never repeats a secret.
// An empty text is an empty list.
func ParseSecrets(s string) ([]string, error) {
	secrets := strings.FieldsFunc(s, isSeparator)
	if _, err := SigningKeys(secrets); err != nil {
		return nil, err
	}
	return secrets, nil
}

// A header or a secret of a subscription that begins with one of these holds no value, but names one: a variable or a
// file of the relay's machine.
const (
	EnvReference  = "env:"
	FileReference = "file:"
)

// Refers reports whether a header or a secret of a subscription is a reference.
func Refers(value string) bool {
	return strings.HasPrefix(value, EnvReference) || strings.HasPrefix(value, FileReference)
}

// ParseSubscriptionSecrets is ParseSecrets for a subscription, some of whose secrets may be references.
func ParseSubscriptionSecrets(s string) ([]string, error) {
	secrets := strings.FieldsFunc(s, isSeparator)
	return secrets, CheckSubscriptionSecrets(secrets)
}

// CheckSubscriptionSecrets judges the secrets of a subscription. Its error names the place in the list and never
// repeats a secret.
func CheckSubscriptionSecrets(secrets []string) error {
	for i, secret := range secrets {
		if Refers(secret) {
			continue
		}
		if _, err := SigningKeys([]string{secret}); err != nil {
			return fmt.Errorf("secret %d of %d: neither env:NAME, file:PATH, nor one that signs: %w", i+1, len(secrets), err)
		}
	}
	return nil
}

func isSeparator(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }

// SigningKeys decodes signing secrets in their order. Its error names the place in the list and never repeats a secret.
func SigningKeys(secrets []string) ([][]byte, error) {
	keys := make([][]byte, 0, len(secrets))
	for i, secret := range secrets {
		encoded, found := strings.CutPrefix(secret, SigningPrefix)
		if !found {
			return nil, fmt.Errorf("secret %d of %d does not begin with %s", i+1, len(secrets), SigningPrefix)
		}
		// The decoder's error would tell at which place of the secret it failed, so it is not passed on.
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d is not %s and base64", i+1, len(secrets), SigningPrefix)
		}
		if len(key) < minSigning || len(key) > maxSigning {
			return nil, fmt.Errorf("secret %d of %d has %d bytes, %d to %d are allowed", i+1, len(secrets), len(key), minSigning, maxSigning)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
