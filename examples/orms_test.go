package examples

import (
	"regexp"
	"strings"
	"testing"

	"relay/test/harness"
)

// TestORMsPage checks that the snippets of docs/orms.md are parts of their programs.
func TestORMsPage(t *testing.T) {
	t.Parallel()
	n := 0
	for _, m := range marked.FindAllStringSubmatch(readFile(t, "../docs/orms.md"), -1) {
		n++
		if !holds(readFile(t, "../"+m[2]), m[3]) {
			t.Errorf("docs/orms.md shows what is not in %s:\n%s", m[2], m[3])
		}
	}
	if n != 3 {
		t.Errorf("%d snippets are tested", n)
	}
}

// TestDriversInsertAsThePageSays runs the programs with no more rights than relay grant gives:
// the page's way works, and what it warns of is refused.
func TestDriversInsertAsThePageSays(t *testing.T) {
	t.Parallel()
	drivers := map[string]struct {
		command []string
		refused []string
	}{
		"java": {[]string{"java", "-cp", "/usr/share/java/postgresql.jar", "testdata/Outbox.java"},
			[]string{"permission denied for table outbox", `column "headers" is of type jsonb but expression is of type character varying`}},
		"python": {[]string{"/usr/bin/python3", "testdata/outbox.py"}, []string{"permission denied for table outbox"}},
		"node":   {[]string{"node", "testdata/outbox.mjs"}, []string{"permission denied for table outbox"}},
	}
	for _, l := range languages() {
		driver, is := drivers[l.name]
		if !is {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.need(t)
			db := harness.Database(t)
			s := &shop{t: t, env: []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin:/usr/local/bin", "RELAY_DATABASE_URL=" + db.URL,
				"DATABASE_URL=" + db.AppURL, "JDBC_DATABASE_URL=" + jdbcURL(t, db.AppURL)}}
			s.relay(t, "migrate")
			s.relay(t, "grant", "app")
			out := s.run(t, driver.command...)
			if !regexp.MustCompile(`^inserted [0-9a-f-]{36}\n`).MatchString(out) || strings.Count(out, "inserted") != 1 {
				t.Errorf("it prints\n%s", out)
			}
			for _, why := range driver.refused {
				if !strings.Contains(out, "refused: ") || !strings.Contains(out, why) {
					t.Errorf("nothing was refused with %q:\n%s", why, out)
				}
			}
			var row string
			err := db.Admin(t).QueryRow(t.Context(), "select topic || ' ' || key || ' ' || (payload::jsonb ->> 'order') || ' ' || (headers ->> 'tenant') || ' ' || content_type from relay.outbox").Scan(&row)
			if err != nil || row != "order.created order-7 7 acme application/json" {
				t.Errorf("the row is %q, error %v", row, err)
			}
		})
	}
}
