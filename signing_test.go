package relay

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseSecrets(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	good, err := ParseSecrets(encode(24) + ", " + encode(64) + "\n" + encode(25))
	if err != nil || len(good) != 3 || good[0] != encode(24) {
		t.Errorf("good secrets: %d, %v", len(good), err)
	}
	if none, err := ParseSecrets(" "); err != nil || len(none) != 0 {
		t.Errorf("no secrets: %d, %v", len(none), err)
	}
	for _, bad := range []string{
		encode(23), encode(65), "whsec_", "whsec_!!!!", "hunter2hunter2", strings.TrimRight(encode(25), "="),
		strings.TrimPrefix(encode(32), "whsec_"), encode(32) + "x", encode(32) + "," + "hunter2hunter2",
	} {
		_, err := ParseSecrets(bad)
		if err == nil {
			t.Errorf("%q was accepted", bad)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}
