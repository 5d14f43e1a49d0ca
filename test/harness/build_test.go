package harness

import (
	"os/exec"
	"strings"
	"testing"
)

func TestBuildIsMadeOncePerProcess(t *testing.T) {
	t.Parallel()
	const pkg = "relay/test/harness/testdata/hello"
	plain, again, tagged := Build(t, pkg), Build(t, pkg), Build(t, pkg, "loud")
	if plain != again || plain == tagged {
		t.Errorf("paths %s, %s and, with a tag, %s", plain, again, tagged)
	}
	for path, want := range map[string]string{plain: "hello", tagged: "HELLO"} {
		out, err := exec.Command(path).Output()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s says %q, error %v, want %q", path, out, err, want)
		}
	}
}
