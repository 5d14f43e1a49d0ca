package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// printHelp prints what a command is for, how it is called, examples, and its commands and options.
func printHelp(app *App, cmd *cobra.Command) {
	width := terminalWidth(app.Stdout, tableWidth)
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(&b, "%s\n\nUsage: %s\n", about, usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-14s %s\n", c.Name(), c.Short)
			}
		}
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nOptions:\n%s", cmd.LocalFlags().FlagUsagesWrapped(width))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help shows more about a command.\n", cmd.CommandPath())
	}
	if variables := cmd.Annotations[annotationVariables]; variables != "" {
		fmt.Fprintf(&b, "\nVariables:\n%s", variables)
	}
	fmt.Fprint(app.Stdout, b.String())
}

// usageLine is how a command is called.
func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND"
	}
	line := cmd.UseLine()
	if before, found := strings.CutSuffix(line, " [flags]"); found {
		line = before + " [options]"
	}
	return line
}

// annotationVariables is the annotation that holds the variables of a command for its help.
const annotationVariables = "variables"

// variablesHelp lists the variables of the environment with what they mean.
func variablesHelp(width int) string {
	var b strings.Builder
	for _, v := range variables() {
		note := v.Unset
		switch {
		case v.Required:
			note = "required"
		case v.Default != "":
			note = "default " + v.Default
		}
		fmt.Fprintf(&b, "  %s (%s)\n", v.Name, note)
		for line := range wrapped(v.Meaning, width-6) {
			fmt.Fprintf(&b, "      %s\n", line)
		}
	}
	return b.String()
}

// wrapped yields the lines of a text that is broken at spaces.
func wrapped(text string, width int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		line := ""
		for word := range strings.FieldsSeq(text) {
			if line != "" && len(line)+1+len(word) > width {
				if !yield(line) {
					return
				}
				line = ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		yield(line)
	}
}
