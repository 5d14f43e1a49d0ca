package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"relay/cdc"
	"relay/operate"
	"relay/sql"
)

// StatusCmd is `relay status`.
type StatusCmd struct {
	JSON  bool
	Watch bool
	Every time.Duration
}

func (c *StatusCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show on one screen how relays, messages and deliveries stand.", Args: exactly(),
		Example: "  relay status\n  relay status --watch --every 5s",
	}
	jsonFlag(cmd, &c.JSON, "Print JSON; with --watch a line each time.")
	cmd.Flags().BoolVar(&c.Watch, "watch", false, "Show it again and again, until interrupted.")
	spanFlag(cmd, &c.Every, "every", 2*time.Second, "With --watch: `SPAN` between two looks.")
	return cmd
}

// leastEvery keeps a watch from being a load.
const leastEvery = 100 * time.Millisecond

// Validate judges the time between two looks.
func (c *StatusCmd) Validate() error {
	if c.Every < leastEvery {
		return fmt.Errorf("--every: at least %s", leastEvery)
	}
	return nil
}

// Run shows how relays, messages and deliveries stand, as the database knows it.
func (c *StatusCmd) Run(ctx context.Context, app *App) error {
	config, _, err := app.Configure()
	if err != nil {
		return err
	}
	for {
		s, err := readStatus(ctx, config)
		if err != nil && (!c.Watch || ctx.Err() != nil) {
			return err
		}
		if err := c.print(app.Stdout, s, err); err != nil || !c.Watch {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.As(context.Cause(ctx), new(stopSignal)) {
				return nil // the person has seen enough
			}
			return ctx.Err()
		case <-time.After(c.Every):
		}
	}
}

// clearScreen moves the cursor of a terminal to the top and removes what stands there.
const clearScreen = "\x1b[H\x1b[2J"

// print prints one look: how all stands, or, while it is watched, why that cannot be seen.
func (c *StatusCmd) print(w io.Writer, s operate.Status, failed error) error {
	if c.JSON {
		if failed != nil {
			return printJSON(w, watchFailure{errorLine(sql.Plain(failed)), time.Now().UTC()})
		}
		return printJSON(w, s)
	}
	text := statusText(s, terminalWidth(w, tableWidth))
	if failed != nil {
		text = fmt.Sprintf("%s  %s\n", clock(time.Now()), errorLine(sql.Plain(failed)))
	}
	if c.Watch && terminalWidth(w, 0) > 0 {
		text = clearScreen + text
	}
	_, err := io.WriteString(w, text)
	return err
}

// watchFailure is a look that failed, as JSON.
type watchFailure struct {
	Error string    `json:"error"`
	AsOf  time.Time `json:"as_of"`
}

// readStatus connects, and reads how all stands.
func readStatus(ctx context.Context, config Config) (s operate.Status, err error) {
	examiner, err := config.Database().Examine(ctx)
	if err != nil {
		return s, err
	}
	defer examiner.Conn.Close(context.WithoutCancel(ctx))
	relays, err := examiner.RunningRelays(ctx)
	if err != nil {
		return s, err
	}
	capture, name, bell := config.Capture, config.Slot, (*sql.DoorbellReport)(nil)
	if report := reportOf(relays); report != nil { // the relay's settings count, and not the shell's
		capture, name, bell = Capture(report.Settings["RELAY_CAPTURE"]), report.Settings["RELAY_SLOT"], report.Doorbell
	}
	var slot *operate.SlotStatus
	if capture == CaptureStream {
		if slot, err = readSlot(ctx, examiner, name); err != nil {
			return s, err
		}
		if bell != nil && bell.Stream && !bell.Heard {
			slot.NotHeard = bell.Why + "; to mend it: " + mendDoorbell(bell)
		}
	}
	schema, err := examiner.Schema(ctx)
	if err != nil {
		return s, err
	}
	store, err := config.Database().Open(ctx, 2)
	if err != nil {
		return s, err
	}
	defer store.Close()
	return operate.New(store).Status(ctx, operate.SchemaStatus{Version: schema.Version, Needed: schema.Needed}, slot)
}

// reportOf returns the report of the relay that is to read the slot, else that of any other relay. It is nil if no
// relay reports.
func reportOf(relays []sql.RunningRelay) (report *sql.Report) {
	for _, r := range relays {
		if r.Report == nil {
			continue
		}
		if bell := r.Report.Doorbell; bell != nil && bell.Stream {
			return r.Report
		}
		if report == nil {
			report = r.Report
		}
	}
	return report
}

func readSlot(ctx context.Context, examiner *sql.Examiner, name string) (*operate.SlotStatus, error) {
	slot, err := cdc.ExamineSlot(ctx, examiner.Conn, name)
	if err != nil {
		return nil, err
	}
	return &operate.SlotStatus{
		Name: name, Exists: slot.Exists, Reader: slot.Reader, Flaw: slot.Flaw.Why, Confirmed: slot.Lag.Confirmed, Restart: slot.Lag.Restart,
	}, nil
}
