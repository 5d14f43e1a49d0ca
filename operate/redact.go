package operate

import (
	"encoding/json"
	"strings"

	"relay"
)

// Hidden stands for a value that may be a secret wherever one is shown.
const Hidden = "(hidden)"

// secretWords are the words by which the name of a header tells that its value is a credential.
var secretWords = []string{"auth", "cookie", "token", "secret", "password", "passwd", "api-key", "apikey", "credential", "signature", "session"}

// mayBeSecret reports whether the value of a header may be a credential.
func mayBeSecret(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "-key") && name != "relay-key"
}

// shownHeaders returns the headers of a row with the values hidden that may be credentials. What is no object of
// strings is none: the message was rejected for it, and its error says so.
func shownHeaders(raw []byte) map[string]string {
	shown := map[string]string{}
	if err := json.Unmarshal(raw, &shown); err != nil {
		return map[string]string{}
	}
	for name := range shown {
		if mayBeSecret(name) {
			shown[name] = Hidden
		}
	}
	return shown
}

// whyHidden says why relay.ShownTarget shows less of a target than there is. Empty means that it
// shows all of it.
func whyHidden(target string) string {
	shown := relay.ShownTarget(target)
	switch {
	case shown == strings.TrimSpace(target):
		return ""
	case shown == relay.UnreadableTarget:
		return "it cannot be parsed, so that any part of it may be a password"
	}
	return "a user, a password, a query and the end of a long path segment may be secrets"
}
