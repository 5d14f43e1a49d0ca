package simulate

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mutation is a fault that is put into the machine: in the text of a file, so that the product
// holds nothing for it.
type mutation struct {
	name, file, find, replace string
	// seed is where the search begins, so that the ordinary tests do not take long. Zero: at the
	// first. With -simulate.first all searches begin at the first. If it is one of a hot key or of
	// asynchronous commits, only such histories are searched.
	seed uint64
}

// mutations are faults. The simulation has to find each one.
var mutations = []mutation{
	{"forget a reported row that SQL does not show yet", "key_read.go",
		"case covered && shown, e.seq", "case covered, e.seq", 0},
	{"let a message pass one that SQL does not show yet", "key.go",
		"if k.unseen == 0 {\n\t\treturn nil\n\t}\n\tfor", "if true {\n\t\treturn nil\n\t}\n\tfor", 0},
	{"send although the lease has ended", "attempt.go",
		"min(e.m.leases.until, e.readAt+2*staleAfter)", "e.readAt+2*staleAfter", 45000},
	{"send a head twice", "attempt.go",
		"\td.send(false)\n\treturn true", "\td.send(false)\n\td.send(false)\n\treturn true", 0},
	{"never give back what an entry held", "entry.go",
		"m.leases.remove(e)\n\tm.budget.entries--", "m.leases.remove(e)", 0},
	{"never give back what a destination held", "entry.go",
		"e.m.budget.bytes -= e.bytes\n\te.bytes = 0", "e.bytes = 0", 0},
	{"let the next message of a key pass one that failed", "outcome.go",
		"\tcase relay.DeliveryDead:\n\t\treturn !", "\tcase relay.DeliveryPushFailed:\n\t\treturn true\n\tcase relay.DeliveryDead:\n\t\treturn !", 0},
	{"let the next message of a key pass a dead one before that is written", "outcome.go",
		"\t\td.step = endedInOrder\n", "\t\tq.letNextGo(d)\n", 0},
	{"forget what waits in the table", "queue.go",
		"if q.firstWaiting == 0 || seq < q.firstWaiting {", "if false {", 0},
	{"read on behind a sequence although reports of open transactions were lost", "key_read.go",
		"(m.horizon == 0 || s.Xmin < m.horizon)", "m.horizon == 0", 232049},
	{"take no notice of lost reports", "report.go",
		"func (Gap) apply(m *Machine) {\n\tm.reports.noteGap()\n\tm.sweeps.begin(everything)\n", "func (Gap) apply(m *Machine) {\n", 29900},
	{"trust a row that was not reported yet", "key_read.go",
		"case e == nil && k.lastRead.Awaits(row.Message.ID, row.XID):", "case false:", 12193},
	{"take a message although one before it found no room", "key_read.go",
		"\t\tcase !r.takeRow(k, e, row):\n\t\t\tk.more = true\n\t\t\treturn seq - 1, false\n", "\t\tcase !r.takeRow(k, e, row):\n\t\t\tk.more = true\n\t\t\tcontinue\n", 94359},
	{"write a delivery before its message is taken up", "outcome.go",
		"\tcase e.parent != nil:\n\tcase e.state == toRead:", "\tcase e.state == toRead:", 0},
	{"never wake what waits in the table", "queue.go",
		"if q.nextMayGo && q.firstWaiting != 0 {", "if false {", 0},
	{"take a write for done whose answer was lost", "write.go",
		"\t\te.retryLater(50*time.Millisecond, 2*time.Second)\n", "\t\te.remove()\n", 0},
	{"send again what is accepted and locked", "write.go",
		"\t\te.retryLater(100*time.Millisecond, time.Second)\n\tcase WhyRefused:", "\t\te.write.discard()\n\tcase WhyRefused:", 0},
	{"load a delivery, or what its consumer said, while an attempt is under way", "key_read.go",
		"|| m.open[id] != nil || m.pending[id.Message] != nil ", "", 0},
	{"send a row without a key that a crash of the server may undo", "row_read.go",
		"if e.xid == 0 && !r.Snapshot.Durable {", "if false {", 5},
	{"send a row with a key that a crash of the server may undo", "key_read.go",
		"case !r.Snapshot.Durable && (e == nil || e.xid == 0):", "case false:", 5},
	{"never send again after a write that failed", "write.go",
		"\t\te.retryLater(50*time.Millisecond, 2*time.Second)", "\t\te.tries++", 0},
	{"make more attempts than are allowed", "../../retry/retry.go",
		"case d.Attempt >= p.most(s), ", "case ", 0},
	{"give a shard up while something of it is under way", "lease.go",
		"at.owned && at.draining && len(at.entries) == 0", "at.owned && at.draining", 0},
	{"take up again what a person has set back meanwhile", "attempt.go",
		"e.write.command.Again = row.Again\n", "\n", 0},
	{"let a message pass one whose sequence is not known", "key.go",
		"\t\tif e.state == unseen {\n\t\t\treturn e\n", "\t\tif e.state == unseen && e.seq > 0 {\n\t\t\treturn e\n", 0},
	{"read on behind a sequence although that of a reported row is not known", "key.go",
		"return max(0, min(k.knownUpTo, e.seq-1))", "return k.knownUpTo", 0},
	{"take no notice of a delayed message that is due", "key_read.go",
		"case r.Late:", "case false:", 0},
	{"never write again what failed because of its row", "write.go",
		"\tcase WhyFailed:\n\t\te.retryLater(refusedFirst, refusedMost)", "\tcase WhyFailed:", 0},
	{"never wake what waits behind a delivery that is given up", "entry.go",
		"\tif e.readAfter != \"\" {", "\tif false {", 0},
	{"let the next message of a key pass one that is being given up", "key_read.go",
		"case open && e.overdue && ", "case open && e.overdue && false && ", 0},
	{"take the sweep of one group for that of another", "sweep.go",
		"s.asked = false", "s = m.sweeps.groups[0]\n\ts.asked = false", 0},
	{"look no more for keys that only wait after a sweep has failed", "sweep.go",
		"m.sweeps.later(s.running)", "m.sweeps.later(pendingOnly)", 21402},
	{"read a key no more in which a message found no room", "key_read.go",
		"shown && k.more && k.loaded() > 0:", "shown && k.more:", 120431596},
	{"ask a destination for room once alone", "destination.go",
		"\td.busy = false\n", "", 0},
	{"forget what waits in memory for room", "wait_for_room.go",
		"\t\t\td.entry.readSoon()\n", "", 0},
	{"send to a destination whose outcomes cannot be written", "attempt.go",
		"if m.unwritable.blocked[d.destination.name] && ", "if false && ", 0},
	{"never send again to a destination whose outcomes could not be written", "unwritable.go",
		"\ts.update(d)\n\ts.m.destinations.forgetIfEmpty(d)", "\ts.m.destinations.forgetIfEmpty(d)", 0},
	{"never list the first part of the parked destinations again", "destination.go",
		"ds.part = e.After; ds", "ds.part = max(ds.part, e.After); ds", 0},
}

var (
	onlyMutation = flag.String("simulate.mutation", "pass one that SQL does not show|forget what waits in the table", "a regular expression of the mutations that are tried; each builds a program")
	fromFirst    = flag.Bool("simulate.first", false, "search for mutations from the first seed")
)

var foundSeed = regexp.MustCompile(`of seed ([0-9]+), breaks a rule`)

// TestMutations puts one fault after the other into the machine, and checks that the simulation
// finds it within a minute. By itself it tries two of them; make simulate tries all.
func TestMutations(t *testing.T) {
	wanted := regexp.MustCompile(*onlyMutation)
	for _, m := range mutations {
		if !wanted.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			out := m.hunt(t)
			found := foundSeed.FindStringSubmatch(out)
			if found == nil {
				t.Fatalf("the simulation did not run to its end:\n%s", out)
			}
			seed, err := strconv.ParseUint(found[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(newHistory(seed), nil); err != nil {
				t.Fatalf("seed %d is broken without this fault, too: %v", seed, err)
			}
			t.Logf("found by history %s", found[1])
		})
	}
}

// TestMutationsMatch checks that the text of each fault is found in the machine.
func TestMutationsMatch(t *testing.T) {
	t.Parallel()
	for _, m := range mutations {
		text, err := os.ReadFile(filepath.Join("..", "machine", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), m.find); n != 1 {
			t.Errorf("%s: %s holds the text %q %d times, not once", m.name, m.file, m.find, n)
		}
	}
}

// hunt builds the simulation with the fault and returns what it finds.
func (m *mutation) hunt(t *testing.T) string {
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join("..", "machine", m.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.find); n != 1 {
		t.Fatalf("%s holds the text %q %d times, not once", m.file, m.find, n)
	}
	changed := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), m.find, m.replace, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	plan, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "simulate")
	if err := os.WriteFile(plan, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", plan, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	first, step := max(1, m.seed), uint64(1)
	if m.seed%7 == 6 {
		step = 7 // it takes a hot key
	} else if m.seed == 5 {
		step = 11 // it takes asynchronous commits
	}
	if *fromFirst {
		first = map[uint64]uint64{1: 1, 7: 6, 11: 5}[step]
	}
	out, err := exec.Command(program, "-test.run=^TestFind$", "-test.timeout=30m", "-simulate.for=60s", "-simulate.stride="+strconv.FormatUint(step, 10),
		"-simulate.seed="+strconv.FormatUint(first, 10)).CombinedOutput()
	if err == nil {
		t.Fatalf("the simulation did not find it:\n%s", out)
	}
	return string(out)
}
