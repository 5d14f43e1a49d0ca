package main

import (
	"encoding"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"relay"
)

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, to *bool, usage string) {
	cmd.Flags().BoolVar(to, "json", false, usage)
}

// spanFlag adds a flag for a time span as SQL has it. Zero stands for none.
func spanFlag(cmd *cobra.Command, to *time.Duration, name string, def time.Duration, usage string) {
	*to = def
	if def > 0 {
		usage += fmt.Sprintf(" (default %s)", def)
	}
	cmd.Flags().Func(name, usage, func(text string) (err error) {
		*to, err = relay.ParseSpan(text)
		return err
	})
}

// textFlag adds a flag for a value that reads itself.
func textFlag(cmd *cobra.Command, to encoding.TextUnmarshaler, name, usage string) {
	cmd.Flags().Func(name, usage, func(text string) error { return to.UnmarshalText([]byte(text)) })
}

// timeFlag adds a flag for a time.
func timeFlag(cmd *cobra.Command, to *time.Time, name, usage string) {
	cmd.Flags().Func(name, usage, func(text string) (err error) {
		if *to, err = time.Parse(time.RFC3339, text); err != nil {
			err = errors.New("not a time, as 2026-01-31T12:00:00Z")
		}
		return err
	})
}

// words are values of a closed list, separated by commas or repeated.
type words[T ~string] struct {
	to      *[]T
	allowed []T
}

// wordsFlag adds a flag for values of a closed list.
func wordsFlag[T ~string](cmd *cobra.Command, to *[]T, name, usage string, allowed ...T) {
	cmd.Flags().Var(&words[T]{to, allowed}, name, usage)
	completeWords(cmd, name, allowed)
}

// wordFlag adds a flag for one value of a closed list.
func wordFlag(cmd *cobra.Command, to *string, name, def, usage string, allowed ...string) {
	*to = def
	if def != "" {
		usage += fmt.Sprintf(" (default %s)", def)
	}
	cmd.Flags().Func(name, usage, func(text string) error {
		if !slices.Contains(allowed, text) {
			return fmt.Errorf("allowed is %s", listed(allowed))
		}
		*to = text
		return nil
	})
	completeWords(cmd, name, allowed)
}

func completeWords[T ~string](cmd *cobra.Command, name string, allowed []T) {
	var texts []string
	for _, a := range allowed {
		texts = append(texts, string(a))
	}
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(texts, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was added a moment ago
	}
}

// Set implements pflag.Value.
func (w *words[T]) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		word := T(strings.TrimSpace(part))
		if !slices.Contains(w.allowed, word) {
			return fmt.Errorf("allowed is %s", listed(w.allowed))
		}
		if !slices.Contains(*w.to, word) {
			*w.to = append(*w.to, word)
		}
	}
	return nil
}

// listed joins words as people do.
func listed[T ~string](list []T) string {
	var b strings.Builder
	for i, word := range list {
		switch {
		case i > 0 && i == len(list)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(word))
	}
	return b.String()
}

// String implements pflag.Value.
func (w *words[T]) String() string { return "" }

// Type implements pflag.Value.
func (w *words[T]) Type() string { return "word" }

// flagError puts into words what pflag says of a flag.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return fmt.Errorf("--%s: %s: %w", bad.GetFlag().Name, quote(bad.GetValue()), bad.Unwrap())
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return fmt.Errorf("unknown option --%s", unknown.GetSpecifiedName())
	}
	return err
}

// exactly reads as many arguments as there are targets; the names are those of Use.
func exactly(targets ...*string) cobra.PositionalArgs { return arguments(len(targets), targets, nil) }

// arguments reads at least some arguments into the targets, and what follows into rest. Where rest is nil nothing may
// follow.
func arguments(least int, targets []*string, rest *[]string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		names := strings.Fields(cmd.Use)[1:]
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("%s is missing", names[len(args)]), cmd.CommandPath()}
		case len(args) > len(targets) && rest == nil:
			return usageError{fmt.Errorf("unexpected argument %s", quote(args[len(targets)])), cmd.CommandPath()}
		}
		for i, target := range targets[:min(len(targets), len(args))] {
			*target = args[i]
		}
		if rest != nil && len(args) > len(targets) {
			*rest = args[len(targets):]
		}
		return nil
	}
}
