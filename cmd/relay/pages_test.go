package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// shellBlock matches a block of commands in a page.
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	// quotedCommand matches a command in running text. One that stands for several, as in
	// `relay messages list|show`, is not judged.
	quotedCommand = regexp.MustCompile("`relay ([a-z][^`|…<]*[^`|…< ])`")
	// comment matches what follows a command on its line.
	comment = regexp.MustCompile(`\s+#.*`)
	// word matches a word of a shell, with its quotes.
	word = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
)

// TestCommandsOfThePages: each command that the manual shows exists, takes these options, and in a block
// of commands as many arguments.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	shown := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md", "../../deploy/*/*.md", "../../examples/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if filepath.Base(path) == "CHANGELOG.md" { // it tells of what was, and names options without a value
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
				for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
					if args, is := relayCommand(line); is {
						shown++
						judgeCommand(t, path, args, true)
					}
				}
			}
			for _, quoted := range quotedCommand.FindAllStringSubmatch(string(text), -1) {
				judgeCommand(t, path, shellWords(quoted[1]), false)
			}
		}
	}
	if shown < 50 {
		t.Errorf("only %d commands were found", shown)
	}
}

// relayCommand returns the arguments of a line that runs the relay, whatever it sets before.
func relayCommand(line string) (args []string, is bool) {
	line, _, _ = strings.Cut(comment.ReplaceAllString(line, ""), " < ")
	args = shellWords(strings.TrimRight(line, " &\n"))
	for len(args) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(args[0]) {
		args = args[1:]
	}
	if len(args) == 0 || args[0] != "relay" {
		return nil, false
	}
	return args[1:], true
}

// shellWords divides a line as a shell does, as far as the pages need it.
func shellWords(line string) (list []string) {
	for _, w := range word.FindAllString(line, -1) {
		list = append(list, strings.NewReplacer(`'`, "", `"`, "").Replace(w))
	}
	return list
}

// judgeCommand checks a command's name and options, and on request how many arguments it takes.
func judgeCommand(t *testing.T, path string, args []string, arguments bool) {
	t.Helper()
	root := commands(&App{Stdout: io.Discard, Stderr: io.Discard})
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err == nil && cmd == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("%s shows relay %s: there is no such command", path, strings.Join(args, " "))
		return
	}
	if err == nil {
		cmd.InitDefaultHelpFlag()
		cmd.InitDefaultVersionFlag()
		err = cmd.ParseFlags(rest)
	}
	if err == nil && arguments && cmd != root {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s shows relay %s: %v", path, strings.Join(args, " "), err)
	}
}
