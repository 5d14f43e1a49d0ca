package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"relay/test/harness"
)

// marked matches a comment in a page that says where the code block after it comes from.
var marked = regexp.MustCompile("(?s)<!-- (example: (\\S+)|grants|inbox grants) -->\n```[a-z]*\n(.*?)```\n")

// pages returns the files of all pages.
func pages(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"../*.md", "*.md", "../docs/*.md", "../docs/*/*.md", "../deploy/*/*.md", "../.github/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, more...)
	}
	return paths
}

// TestSnippets checks that each snippet in a page is part of its program, but for the indentation, and that every
// language has one.
func TestSnippets(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, page := range pages(t) {
		for _, m := range marked.FindAllStringSubmatch(readFile(t, page), -1) {
			path, snippet := m[2], m[3]
			if path == "" {
				continue
			}
			shown[strings.Split(path, "/")[1]] = true
			if !holds(readFile(t, "../"+path), snippet) {
				t.Errorf("%s shows what is not in %s:\n%s", page, path, snippet)
			}
		}
	}
	for _, l := range languages() {
		if !shown[l.name] {
			t.Errorf("no page shows a program of %s", l.name)
		}
	}
}

// holds reports whether a program has the lines of a snippet, one after the other, each
// indented by the same white space.
func holds(program, snippet string) bool {
	wanted := strings.Split(strings.TrimRight(snippet, "\n"), "\n")
	lines := strings.Split(program, "\n")
	for i := range lines {
		indent, found := strings.CutSuffix(lines[i], wanted[0])
		if found && strings.TrimSpace(indent) == "" && follow(lines[i:], wanted, indent) {
			return true
		}
	}
	return false
}

func follow(lines, wanted []string, indent string) bool {
	if len(lines) < len(wanted) {
		return false
	}
	for i, line := range wanted {
		if line != "" {
			line = indent + line
		}
		if lines[i] != line {
			return false
		}
	}
	return true
}

// operating is the page about grants.
const operating = "../docs/operating.md"

// TestGrantsAsShown compares what the statements in the page about operating give an application with what relay grant
// gives it, and a consumer likewise.
func TestGrantsAsShown(t *testing.T) {
	t.Parallel()
	statements := map[string]string{}
	for _, m := range marked.FindAllStringSubmatch(readFile(t, operating), -1) {
		statements[m[1]] = m[3]
	}
	for name, commands := range map[string][2][]string{
		"grants":       {{"migrate"}, {"grant", "app"}},
		"inbox grants": {{"migrate", "--inbox-only"}, {"grant", "app", "--inbox", "warehouse"}},
	} {
		if statements[name] == "" {
			t.Fatalf("%s lists no %s", operating, name)
		}
		command := granted(t, commands[0], func(s *shop, _ *harness.DB) { s.relay(t, commands[1]...) })
		shown := granted(t, commands[0], func(_ *shop, db *harness.DB) { execute(t, db.Relay(t), statements[name]) })
		if command != shown {
			t.Errorf("relay grant gives\n%s\n%s gives\n%s", command, operating, shown)
		}
	}
}

// granted returns the rights in a database that was migrated by a command and then granted.
func granted(t *testing.T, migrate []string, grant func(s *shop, db *harness.DB)) string {
	t.Helper()
	db := harness.Database(t)
	s := &shop{t: t, env: []string{"RELAY_DATABASE_URL=" + db.URL, "HOME=" + t.TempDir()}}
	s.relay(t, migrate...)
	grant(s, db)
	return query[string](t, db.Admin(t), rights)
}

// TestScheduleAsShown: the page about receiving gives the line that relay migrate --inbox-only asks to schedule.
func TestScheduleAsShown(t *testing.T) {
	t.Parallel()
	s := &shop{t: t, env: []string{"RELAY_DATABASE_URL=" + harness.Database(t).URL, "HOME=" + t.TempDir()}}
	for _, want := range []string{"migrated relay.inbox from version 0 to ", "relay.inbox is at version "} {
		out := s.relay(t, "migrate", "--inbox-only")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if !strings.HasPrefix(out, want) || !holds(readFile(t, "../docs/receiving.md"), strings.TrimSpace(lines[len(lines)-1])) {
			t.Errorf("relay migrate --inbox-only printed\n%s", out)
		}
	}
}

// rights lists every privilege in the schema relay that a role was granted.
const rights = `
select string_agg(line, e'\n' order by line) from (
	select 'schema ' || nspacl::text as line from pg_namespace where nspname = 'relay'
	union all
	select c.oid::regclass || ' ' || c.relacl::text from pg_class c where c.relnamespace = 'relay'::regnamespace
	union all
	select a.attrelid::regclass || '.' || a.attname || ' ' || a.attacl::text
	from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'relay'::regnamespace
	union all
	select p.oid::regprocedure || ' ' || p.proacl::text from pg_proc p where p.pronamespace = 'relay'::regnamespace
	union all
	select p.polrelid::regclass || ' ' || p.polroles::regrole[]::text || ' ' || pg_get_expr(p.polwithcheck, p.polrelid) from pg_policy p
) granted`

// link matches a link or a picture in Markdown, or a picture in HTML; its group is where it leads.
var link = regexp.MustCompile(`(?:\]\(|src="|srcset=")([^)"\s]+)[)"]`)

// TestLinks checks that the links of pages to files, and to sections of pages, lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			path, section, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			switch {
			case lacksFile(file) != nil:
				t.Errorf("%s links to %s, which is not there", page, path)
			case section != "" && strings.HasSuffix(file, ".md") && !headings(readFile(t, file))[section]:
				t.Errorf("%s links to #%s, a section that %s lacks", page, section, file)
			}
		}
	}
}

// headings returns the anchors of a page's headings.
func headings(page string) map[string]bool {
	anchors, code := map[string]bool{}, false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if code || !strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		name = regexp.MustCompile(`[^\p{L}\p{N} -]`).ReplaceAllString(name, "")
		anchors[strings.ReplaceAll(name, " ", "-")] = true
	}
	return anchors
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
