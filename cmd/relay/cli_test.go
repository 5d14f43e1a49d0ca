package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// eachCommand visits all commands that do something.
func eachCommand(visit func(cmd *cobra.Command)) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			walk(c)
		}
		if !cmd.HasSubCommands() {
			visit(cmd)
		}
	}
	walk(commands(&App{}))
}

func TestEveryCommandTakesJSONAndShowsAnExample(t *testing.T) {
	t.Parallel()
	eachCommand(func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s: no --json", cmd.CommandPath())
		}
		if !strings.Contains(cmd.Example, "relay "+cmd.Name()) && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: no example", cmd.CommandPath())
		}
		if !strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q is no sentence", cmd.CommandPath(), cmd.Short)
		}
	})
}

func TestHelpOfRunListsTheVariables(t *testing.T) {
	t.Parallel()
	code, out, _ := runMain(t, t.Context(), nil, "run", "--help")
	for _, v := range variables() {
		if !strings.Contains(out, "  "+v.Name+" (") {
			t.Errorf("nothing of %s", v.Name)
		}
	}
	if code != 0 || !strings.Contains(out, "RELAY_DATABASE_URL (required)") || !strings.Contains(out, "Examples:\n  RELAY_DATABASE_URL=") {
		t.Errorf("code %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if len([]rune(line)) > 2*tableWidth {
			t.Errorf("a line of %d columns: %s", len([]rune(line)), line)
		}
	}
}

func TestAMistypedCommandNamesTheNearest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"versoin", `unknown command "versoin", did you mean version? (see relay --help)`},
		{"messages lst", `unknown command "lst", did you mean list? (see relay messages --help)`},
		{"subscriptions puase x", `unknown command "puase", did you mean pause? (see relay subscriptions --help)`},
		{"xyzzy", `unknown command "xyzzy" (see relay --help)`},
		{"jobs", "a command is missing: list, rate, resume, show, stop (see relay jobs --help)"},
		{"messages list --limits 3", "unknown option --limits (see relay messages list --help)"},
		{"messages list --limit many", `--limit: "many": `},
		{"messages list --status dad", `--status: "dad": allowed is pending, open, done, dead, rejected or cancelled (see relay messages list --help)`},
		{"messages show", "ID is missing (see relay messages show --help)"},
		{"messages show 1 2", `unexpected argument "2" (see relay messages show --help)`},
		{"keys skip k", "--subscription is missing"},
		{"send", "TOPIC is missing (see relay send --help)"},
	} {
		code, out, errs := runMain(t, t.Context(), nil, strings.Fields(tt.line)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: code %d, %q, %q, want %q", tt.line, code, out, errs, tt.want)
		}
	}
}

func TestVersionIsAnOptionToo(t *testing.T) {
	t.Parallel()
	code, out, errs := runMain(t, t.Context(), nil, "--version")
	if code != 0 || out != readBuild().String()+"\n" || errs != "" {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
}

func TestShellsComplete(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, errs := runMain(t, t.Context(), nil, "completion", shell); code != 0 || !strings.Contains(out, "relay") || errs != "" {
			t.Errorf("%s: code %d, %q", shell, code, errs)
		}
	}
	for line, want := range map[string]string{
		"mess":                     "messages\t",
		"messages re":              "retry\t",
		"messages list --status r": "rejected\n",
		"keys skip k --sub":        "--subscription\t",
	} {
		code, out, _ := runMain(t, t.Context(), nil, append([]string{"__complete"}, strings.Fields(line)...)...)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: code %d, %q, want %q", line, code, out, want)
		}
	}
}
