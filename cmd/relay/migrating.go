package main

import (
	"log/slog"
	"math/bits"

	"relay/sql"
)

// reportSteps returns what logs the steps of migrations; those that make a new schema are of no interest. A step that
// waits is logged after 1, 2, 4, 8 … tries.
func reportSteps(log *slog.Logger) func(sql.StepReport) {
	return func(r sql.StepReport) {
		log := log.With("migration", r.Migration, "step", r.Step, "of", r.Steps)
		switch {
		case r.Tries == 0 && r.New:
			log.Debug("migrating")
		case r.Tries == 0:
			log.Info("migrating")
		case bits.OnesCount(uint(r.Tries)) == 1:
			log.Warn("a migration waits: other sessions hold what it needs, and it lets them and all INSERTs go first; end long transactions if it lasts",
				"tries", r.Tries, "held_by_pids", r.Holders, "error", r.Err)
		}
	}
}
