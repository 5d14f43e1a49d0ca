package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
	"relay/sql"
)

// retryWait is how long --wait waits for the deliveries of what was retried.
const retryWait = time.Minute

// MessagesRetryCmd is `relay messages retry`.
type MessagesRetryCmd struct {
	choice
	Force   bool
	WaitFor time.Duration // for the deliveries; zero: not at all
}

func (c *MessagesRetryCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "Send messages again, by id or by filter; with --subscription to one subscriber.",
		Long: "Send messages again, by id or by filter; with --subscription to one subscriber alone.\n" +
			"By filter, which needs --status, a relay does it by a job in the background.",
		Example: "  relay messages retry " + exampleMessage + " --wait\n" +
			"  relay messages retry --status dead --subscription billing --since 1d --preview\n" +
			"  relay messages retry --status dead --subscription billing --rate 100 --yes",
	}
	c.choice.flags(cmd)
	cmd.Flags().BoolVar(&c.Force, "force", false, "Send also again what ended well (done).")
	cmd.Flags().Func("wait", "Wait for the deliveries, at most this `SPAN` (1m unless it is given), report how they end, and fail unless all end well.", c.setWait)
	cmd.Flags().Lookup("wait").NoOptDefVal = retryWait.String()
	return cmd
}

func (c *MessagesRetryCmd) setWait(text string) (err error) {
	if c.WaitFor, err = relay.ParseSpan(text); err == nil && c.WaitFor <= 0 {
		err = errors.New("a time above 0 is needed")
	}
	return err
}

// Validate judges what may be retried.
func (c *MessagesRetryCmd) Validate() error {
	for _, status := range c.Status {
		if err := operate.CheckStatus(sql.JobRetry, status, c.Force); err != nil {
			return inOptions(err)
		}
	}
	return c.choice.Validate()
}

// Run sends messages again. Each delivery starts with its full number of attempts and its full
// time; one that waits for its next attempt is due at once. If a subscription is given, only that
// subscription gets the messages.
func (c *MessagesRetryCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	if len(c.IDs) == 0 {
		return c.byFilter(ctx, app, service)
	}
	changed, failed := c.byID(ctx, app.Stdout, sql.JobRetry, c.Force, service.Retry)
	if c.WaitFor == 0 || len(changed) == 0 {
		return failed
	}
	return errors.Join(failed, c.followEach(ctx, app, service, changed))
}

// byFilter makes a job, and waits for it and its deliveries if that is asked for.
func (c *MessagesRetryCmd) byFilter(ctx context.Context, app *App, service *operate.Service) error {
	job, err := c.start(ctx, app, service, c.request(sql.JobRetry, c.Force))
	switch {
	case err != nil || job.ID == "":
		return err
	case c.WaitFor == 0:
		return c.started(app, job)
	}
	if job, err = awaitJob(ctx, app, service, job.ID); err != nil {
		return err
	}
	ends, err := service.AwaitJobMessages(ctx, job.ID, c.WaitFor)
	if err != nil {
		return err
	}
	err = printAs(app.Stdout, c.JSON, endedJob{job, ends}, fmt.Sprintf("job %s: %s\n%s\n", job.ID, progress(job), endsText(ends)))
	return errors.Join(err, jobFailure(job), endsFailure(ends))
}

// endedJob is a job with how its messages stand.
type endedJob struct {
	operate.Job
	Ends operate.Ends `json:"messages_now"`
}

// endsText counts messages by how they stand.
func endsText(ends operate.Ends) string {
	var parts []string
	for _, status := range []relay.MessageStatus{relay.MessageDone, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled, relay.MessageOpen, relay.MessagePending} {
		if n := ends[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if len(parts) == 0 {
		return "no messages were sent again"
	}
	return "messages: " + strings.Join(parts, ", ")
}

// endsFailure is an error unless all messages are done.
func endsFailure(ends operate.Ends) error {
	all := 0
	for _, n := range ends {
		all += n
	}
	if all == ends[relay.MessageDone] {
		return nil
	}
	return fmt.Errorf("%d of %s are not done", all-ends[relay.MessageDone], plural(int64(all), "message"))
}

// followEach waits for the ends of messages and prints how their deliveries have ended.
func (c *MessagesRetryCmd) followEach(ctx context.Context, app *App, service *operate.Service, ids []string) error {
	ends := operate.Ends{}
	for until := time.Now().Add(c.WaitFor); len(ids) > 0; ids = ids[1:] {
		s, err := service.Await(ctx, ids[0], time.Until(until))
		if err != nil {
			return err
		}
		ends[s.Status]++
		err = printAs(app.Stdout, c.JSON, s, s.ID+"  "+sentStatus(s, c.WaitFor)+"\n"+sentDeliveries(s))
		if err != nil {
			return err
		}
	}
	return endsFailure(ends)
}

// MessagesCancelCmd is `relay messages cancel`.
type MessagesCancelCmd struct {
	choice
	Wait bool
}

func (c *MessagesCancelCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel [ID…]",
		Short: "Cancel messages, by id or by filter; with --subscription for one subscriber.",
		Long: "Cancel messages, by id or by filter; with --subscription for one subscriber alone. What is under way is not called back.\n" +
			"By filter, which needs --status, a relay does it by a job in the background.",
		Example: "  relay messages cancel " + exampleMessage + " --subscription billing\n" +
			"  relay messages cancel --status rejected --topic 'test.#' --yes",
	}
	c.choice.flags(cmd)
	cmd.Flags().BoolVar(&c.Wait, "wait", false, "Wait until the job has ended, and fail if a message did.")
	return cmd
}

// Validate judges what may be cancelled.
func (c *MessagesCancelCmd) Validate() error {
	if len(c.IDs) > 0 && c.Wait {
		return errors.New("--wait is for a filter; messages given by their ids are cancelled at once")
	}
	for _, status := range c.Status {
		if err := operate.CheckStatus(sql.JobCancel, status, false); err != nil {
			return inOptions(err)
		}
	}
	return c.choice.Validate()
}

// Run cancels messages that have not ended well, with a subscription its deliveries alone.
// What is under way is not called back.
func (c *MessagesCancelCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	if len(c.IDs) == 0 {
		return c.startAndFollow(ctx, app, service, c.request(sql.JobCancel, false), c.Wait)
	}
	_, err = c.byID(ctx, app.Stdout, sql.JobCancel, false, service.Cancel)
	return err
}
