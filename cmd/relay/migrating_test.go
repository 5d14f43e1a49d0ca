package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"relay/sql"
)

// A first migration says nothing about its steps; one of a schema with rows does, and one that waits always.
func TestStepsOfANewSchemaAreNotLogged(t *testing.T) {
	t.Parallel()
	for want, step := range map[string]sql.StepReport{
		"":                  {Migration: "001_outbox.sql", Step: 1, Steps: 1, New: true},
		"migrating":         {Migration: "005_own_names.sql", Step: 1, Steps: 5},
		"a migration waits": {Migration: "001_outbox.sql", Step: 1, Steps: 1, New: true, Tries: 1},
	} {
		var out bytes.Buffer
		reportSteps(slog.New(slog.NewTextHandler(&out, nil)))(step)
		if got := out.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", step, got, want)
		}
	}
}
