package sql

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// migrationFile is one file of a sequence: the way from one version to the next.
type migrationFile struct {
	name    string
	version int32
	steps   []migrationStep
	// whole: the file has no markers. It is one transaction, as files were before there
	// were steps.
	whole bool
}

// stepKind says what a step may do while applications insert.
type stepKind string

const (
	// stepTransaction runs in a transaction without a time limit. It takes no lock that an
	// INSERT waits for.
	stepTransaction stepKind = "transaction"
	// stepLock changes one table's definition in a transaction that holds the table for a
	// moment: all time limits are short, and the runner tries again.
	stepLock stepKind = "lock"
	// stepConcurrently is one statement outside of a transaction that builds or drops an
	// index.
	stepConcurrently stepKind = "concurrently"
)

// migrationStep is what a migration does and records at once. A migration that was killed
// goes on with the first step that is not recorded.
type migrationStep struct {
	kind  stepKind
	table string // which one a lock step holds, with its schema; else empty
	sql   string
	index string // what a concurrent step builds, without its schema; empty: it drops one
}

var (
	migrationName = regexp.MustCompile(`\A(\d{3})_[a-z0-9_]+\.sql\z`)
	// A line `-- step: transaction`, `-- step: lock relay.outbox` or `-- step: concurrently`
	// begins a step.
	stepMarker = regexp.MustCompile(`(?m)^-- step:(.*)$`)
	stepWords  = regexp.MustCompile(`\A(?:(transaction|concurrently)|(lock) (relay\.[a-z_]+))\z`)
	// A concurrent step is repeatable only in these forms.
	buildsIndex = regexp.MustCompile(`\Acreate (?:unique )?index concurrently if not exists ([a-z0-9_]+)\s+on relay\.[a-z_]+[^;]*;?\z`)
	dropsIndex  = regexp.MustCompile(`\Adrop index concurrently if exists relay\.[a-z0-9_]+;?\z`)
	sqlComment  = regexp.MustCompile(`--[^\n]*`)
)

// readMigrations returns the files of a folder, in the order of their versions, which must
// begin with 1 and have no gap.
func readMigrations(files fs.FS, folder string) ([]migrationFile, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.sql"))
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	list := make([]migrationFile, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		if list[i], err = parseMigration(path.Base(name), string(text)); err != nil {
			return nil, fmt.Errorf("migration %s: %w", path.Base(name), err)
		}
		if want := int32(i + 1); list[i].version != want {
			return nil, fmt.Errorf("migration %s stands where version %d is expected", list[i].name, want)
		}
	}
	return list, nil
}

// withoutSteps returns the files before the first one that has steps.
func withoutSteps(files []migrationFile) []migrationFile {
	for i, file := range files {
		if !file.whole {
			return files[:i]
		}
	}
	return files
}

// parseMigration divides a file into its steps.
func parseMigration(name, text string) (migrationFile, error) {
	match := migrationName.FindStringSubmatch(name)
	if match == nil {
		return migrationFile{}, errors.New("the name is not of the form 001_words.sql")
	}
	version, err := strconv.ParseInt(match[1], 10, 32)
	if err != nil {
		return migrationFile{}, err
	}
	f := migrationFile{name: name, version: int32(version)}
	markers := stepMarker.FindAllStringSubmatchIndex(text, -1)
	if markers == nil {
		f.whole, f.steps = true, []migrationStep{{kind: stepTransaction, sql: text}}
		return f, nil
	}
	if statements(text[:markers[0][0]]) != "" {
		return f, errors.New("there are statements before the first step")
	}
	for i, marker := range markers {
		end := len(text)
		if i+1 < len(markers) {
			end = markers[i+1][0]
		}
		step, err := parseStep(text[marker[2]:marker[3]], text[marker[1]:end])
		if err != nil {
			return f, fmt.Errorf("step %d: %w", i+1, err)
		}
		f.steps = append(f.steps, step)
	}
	return f, nil
}

// parseStep makes a step of the words of its marker and the text that follows.
func parseStep(words, text string) (migrationStep, error) {
	match := stepWords.FindStringSubmatch(strings.TrimSpace(words))
	if match == nil {
		return migrationStep{}, fmt.Errorf("%q is none of: transaction, lock relay.<table>, concurrently", words)
	}
	step := migrationStep{kind: stepKind(match[1] + match[2]), table: match[3], sql: text}
	bare := statements(text)
	if bare == "" {
		return step, errors.New("there is no statement in it")
	}
	if step.kind != stepConcurrently {
		return step, nil
	}
	step.sql = bare
	if build := buildsIndex.FindStringSubmatch(bare); build != nil {
		step.index = build[1]
		return step, nil
	}
	if !dropsIndex.MatchString(bare) {
		return step, errors.New("a concurrent step is one statement: create [unique] index concurrently if not exists <name> on relay.<table> …, " +
			"or drop index concurrently if exists relay.<name>")
	}
	return step, nil
}

// statements returns a text without the comments that end a line, and without blanks
// around it.
func statements(text string) string {
	return strings.TrimSpace(sqlComment.ReplaceAllString(text, ""))
}
