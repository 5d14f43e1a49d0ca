package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const before = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.9.0] - 2026-01-01\n\n- An older thing.\n"

// project is a repository with the script that releases, and one in place of the script that builds.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T, changelog, build string) *project {
	t.Helper()
	p := &project{t, t.TempDir()}
	script, err := os.ReadFile("../../scripts/release")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"CHANGELOG.md": changelog, "scripts/release": string(script), "scripts/package": "#!/bin/sh\n" + build + "\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.must("git", "init", "--quiet")
	p.must("git", "add", ".")
	p.must("git", "commit", "--quiet", "--message", "Begin")
	return p
}

func (p *project) run(args ...string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), args[0], args[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@localhost",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@localhost")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (p *project) must(args ...string) string {
	p.t.Helper()
	out, err := p.run(args...)
	if err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

func (p *project) changelog() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "CHANGELOG.md"))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// A release names the section, commits, tags, and builds from the tag.
func TestRelease(t *testing.T) {
	t.Parallel()
	p := newProject(t, before, "git describe --exact-match")
	out := p.must("scripts/release", "v1.0.0")
	if !strings.Contains(out, "v1.0.0\nReleased v1.0.0.") {
		t.Errorf("it prints %q: the build must see the tag", out)
	}
	date := p.must("date", "--utc", "+%F")
	if want := strings.Replace(before, "## [Unreleased]\n", "## [Unreleased]\n\n## [1.0.0] - "+date+"\n", 1); p.changelog() != want {
		t.Errorf("the changelog is\n%s\nwant\n%s", p.changelog(), want)
	}
	if status := p.must("git", "status", "--porcelain"); status != "" {
		t.Errorf("the tree has changes: %s", status)
	}
	if out, err := p.run("scripts/release", "v1.1.0"); err == nil || !strings.Contains(out, "nothing to release") {
		t.Errorf("a second release: %v, %q", err, out)
	}
}

// A release that fails leaves neither commit nor tag.
func TestReleaseThatFails(t *testing.T) {
	t.Parallel()
	p := newProject(t, before, "exit 1")
	if out, err := p.run("scripts/release", "v1.0.0"); err == nil || !strings.Contains(out, "commit and tag are undone") {
		t.Errorf("%v, %q", err, out)
	}
	if tags, count := p.must("git", "tag"), p.must("git", "rev-list", "--count", "HEAD"); tags != "" || count != "1" || p.changelog() != before {
		t.Errorf("tags %q, %s commits, changelog\n%s", tags, count, p.changelog())
	}
}

func TestReleaseRefuses(t *testing.T) {
	t.Parallel()
	p := newProject(t, before, "exit 0")
	for _, version := range []string{"", "1.0.0", "v1", "v1.0.0;reboot"} {
		if out, err := p.run("scripts/release", version); err == nil || !strings.Contains(out, "name the version") {
			t.Errorf("%q: %v, %q", version, err, out)
		}
	}
	p.must("git", "tag", "v1.0.0")
	if out, err := p.run("scripts/release", "v1.0.0"); err == nil || !strings.Contains(out, "the tag v1.0.0 exists") {
		t.Errorf("%v, %q", err, out)
	}
	p.must("sh", "-c", "echo >> CHANGELOG.md")
	if out, err := p.run("scripts/release", "v2.0.0"); err == nil || !strings.Contains(out, "the tree has changes") {
		t.Errorf("%v, %q", err, out)
	}
}
