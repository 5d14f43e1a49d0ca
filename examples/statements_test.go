package examples

import (
	"regexp"
	"strings"
	"testing"

	"relay/test/harness"
)

var (
	// statementBlock matches a block of SQL, with the mark of one that another test runs.
	statementBlock = regexp.MustCompile("(?s)(<!-- [^\n]* -->\n)?```sql\n(.*?)```\n")
	// shortened matches an id that a page shortens.
	shortened = regexp.MustCompile(`'[0-9a-f-]*…'`)
	// ownServer matches what changes a whole server. The quick starts run it.
	ownServer = regexp.MustCompile(`create role|create database|drop schema|drop database`)
)

// TestStatementsOfThePages runs each block of SQL that the manual shows, on the tables that it speaks of, and rolls it
// back: columns, functions and types are those of the database.
func TestStatementsOfThePages(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	s := &shop{t: t, env: []string{"RELAY_DATABASE_URL=" + db.URL, "HOME=" + t.TempDir()}}
	s.relay(t, "migrate")
	admin := db.Admin(t)
	execute(t, admin, readFile(t, "sql/tables.sql"))
	const id = "'018f6b1c-0000-7000-8000-000000000000'"
	run := 0
	for _, page := range []string{"sending", "receiving", "subscriptions", "operating", "configuration", "orms"} {
		for _, m := range statementBlock.FindAllStringSubmatch(readFile(t, "../docs/"+page+".md"), -1) {
			if m[1] != "" || ownServer.MatchString(m[2]) {
				continue
			}
			run++
			statements := strings.NewReplacer("begin;\n", "", "commit;", "").Replace(shortened.ReplaceAllString(m[2], id))
			if _, err := admin.Exec(t.Context(), "begin;\n"+statements+"\n;rollback"); err != nil {
				t.Errorf("docs/%s.md shows\n%s%v", page, m[2], err)
			}
		}
	}
	if run < 8 {
		t.Errorf("only %d blocks were run", run)
	}
}
