package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"relay/sql"
)

// doctorLimit bounds a whole examination.
const doctorLimit = time.Minute

// DoctorCmd is `relay doctor`.
type DoctorCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// result is how one check went.
type result string

// These are the results. A warning is something that works and should not stay so.
const (
	resultOK   result = "ok"
	resultWarn result = "warn"
	resultFail result = "fail"
)

// finding is one line of an examination.
type finding struct {
	Result result `json:"result"`
	Check  string `json:"check"`
	What   string `json:"what"`
	// Mend is what mends it: alternatives separated by "; or ". Each alternative consists of one or several steps
	// separated by ", then ". A step is SQL for a superuser, a command, or a variable to set. Empty means that
	// nothing need be done.
	Mend string `json:"mend,omitempty"`
}

// doctor collects findings.
type doctor struct {
	config   Config               // of the shell, and of the running relay as far as it says
	relays   []sql.ReportingRelay // that run and report
	targets  map[string]string    // of subscriptions, as people may see them
	findings []finding
}

// Run examines everything that the relay needs, prints what it finds, and fails if a check
// failed. It changes nothing. Where a relay runs, it goes by that relay's settings and not by those of the shell.
func (c DoctorCmd) Run(ctx context.Context, app *App) error {
	limited, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	d := &doctor{}
	d.examine(limited, app.Env)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := d.print(app.Stdout, c.JSON); err != nil {
		return err
	}
	if n := d.count(resultFail); n > 0 {
		return fmt.Errorf("%d of %d checks failed", n, len(d.findings))
	}
	return nil
}

func (d *doctor) ok(check, what string, values ...any) {
	d.add(resultOK, check, "", what, values...)
}

func (d *doctor) warn(check, mend, what string, values ...any) {
	d.add(resultWarn, check, mend, what, values...)
}

func (d *doctor) fail(check, mend, what string, values ...any) {
	d.add(resultFail, check, mend, what, values...)
}

// failed notes that a check could not be made.
func (d *doctor) failed(check string, err error) {
	d.add(resultFail, check, "", "%s", oneLine(err))
}

func (d *doctor) add(r result, check, mend, what string, values ...any) {
	d.findings = append(d.findings, finding{Result: r, Check: check, What: fmt.Sprintf(what, values...), Mend: mend})
}

func (d *doctor) count(r result) (n int) {
	for _, f := range d.findings {
		if f.Result == r {
			n++
		}
	}
	return n
}

// examine makes every check that can be made.
func (d *doctor) examine(ctx context.Context, env map[string]string) {
	if !d.checkConfiguration(env) {
		return
	}
	d.checkDatabase(ctx)
	d.checkDestination(ctx)
	d.checkRows()
	for _, t := range technologies() {
		if t.checkRelay != nil {
			t.checkRelay(ctx, d)
		}
	}
}

// checkConfiguration reports whether there is a configuration to go on with.
func (d *doctor) checkConfiguration(env map[string]string) bool {
	for _, u := range unknownVariables(env) {
		d.warn("configuration", "unset "+u.Name+"; or write "+u.Nearest, "unknown variable %s in this shell", u.Name)
	}
	config, err := ReadConfig(env)
	if err != nil {
		line := oneLine(err)
		name, _, _ := strings.Cut(line, ":")
		d.fail("configuration", "set "+name+" to a value that is allowed", "%s", line)
		return false
	}
	d.config = config
	if len(config.DroppedParameters) > 0 {
		d.warn("configuration", "set RELAY_DATABASE_URL without them", "parameters of the database URL that mean nothing to the relay are left out: %s", strings.Join(config.DroppedParameters, " "))
	}
	d.ok("configuration", "the variables of this shell are valid")
	return true
}

// checkDatabase makes every check that needs the database.
func (d *doctor) checkDatabase(ctx context.Context) {
	examiner, err := d.config.Database().Examine(ctx)
	if err != nil {
		d.fail("database", d.config.mendConnect(err), "%s", oneLine(err))
		return
	}
	defer examiner.Conn.Close(context.WithoutCancel(ctx))
	server, err := examiner.Server(ctx)
	if err != nil {
		d.failed("database", err)
		return
	}
	d.checkServer(server)
	if server.Standby {
		return // nothing else can be judged, or mended, there
	}
	migrated := d.checkSchema(ctx, examiner, server)
	if migrated {
		d.followRelays(ctx, examiner)
	}
	d.checkRole(ctx, examiner, server)
	d.checkPath(ctx, examiner, server)
	relays := 0
	if migrated {
		d.checkIdentity(ctx, examiner, server)
		d.checkPrivileges(ctx, examiner)
		d.checkTable(ctx, examiner)
		d.checkStates(ctx, examiner, server)
		d.readTargets(ctx, examiner)
		relays = d.checkRelays(ctx, examiner)
		d.checkReports()
	}
	if d.config.Capture == CaptureStream {
		d.checkCapacity(server)
		d.checkReplication(ctx, examiner, server)
		d.checkSlot(ctx, examiner, server, relays > 0)
		d.checkOtherSlots(ctx, examiner, d.config.Slot)
	} else {
		d.checkOtherSlots(ctx, examiner, "")
	}
	if d.config.Capture == CaptureStream && migrated {
		d.checkPublication(ctx, examiner, server)
	}
	d.checkTransactions(ctx, examiner, server)
	if migrated {
		d.checkTrigger(ctx, examiner, server, relays > 0)
		d.checkMessages(ctx, examiner)
		d.checkDeliveries(ctx, examiner)
		d.checkQuarantine(ctx, examiner)
		d.checkSubscriptions(ctx, examiner)
		for _, t := range technologies() {
			if t.checkTable != nil {
				t.checkTable(ctx, d, examiner)
			}
		}
	}
}

// print prints the findings: one line each, and below it the command that mends it.
func (d *doctor) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{d.count(resultFail) == 0, d.findings})
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%-4s  %-13s  %s\n", f.Result, f.Check, f.What)
		if f.Mend != "" {
			fmt.Fprintf(&b, "%21s→ %s\n", "", f.Mend)
		}
	}
	fmt.Fprintf(&b, "%d ok, %s, %s\n", d.count(resultOK), plural(int64(d.count(resultWarn)), "warning"), plural(int64(d.count(resultFail)), "failure"))
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine returns an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
