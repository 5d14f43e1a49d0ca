package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"relay/throwaway"
)

// process is a relay that runs as a process of its own.
type process struct {
	cmd     *exec.Cmd
	metrics string // address of /metrics and of a /readyz that tells numbers
	log     *logBuffer
	ended   chan struct{}
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// command prepares a relay command with nothing in its environment but what is given.
func (l *lab) command(ctx context.Context, args []string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.binary, args...)
	cmd.Env = append([]string{"HOME=/", "PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// relay starts a relay on the database and waits until it hears the stream, or another
// relay that does. The caller stops it.
func (d *database) relay(ctx context.Context, env ...string) (*process, error) {
	address, release, err := throwaway.FreeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{metrics: address, log: &logBuffer{}, ended: make(chan struct{})}
	base := []string{
		"RELAY_DATABASE_URL=" + d.url, "RELAY_SLOT=" + d.name, "RELAY_METRICS_ADDR=off",
		"RELAY_ADMIN_ADDR=" + address, "RELAY_EGRESS_ALLOW=loopback", "RELAY_AMQP_URL=" + d.lab.rabbit.URL(""),
	}
	p.cmd = d.lab.command(context.WithoutCancel(ctx), []string{"run"}, append(base, env...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if d.lab.log {
		p.cmd.Stderr = io.MultiWriter(p.log, os.Stderr)
	}
	if err := p.cmd.Start(); err != nil {
		release()
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); release(); close(p.ended) }()
	if err := p.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// overHTTP runs f with a fresh database, an endpoint, and a relay whose default destination
// it is.
func (l *lab) overHTTP(ctx context.Context, f func(d *database, endpoint *receiver, p *process) error) (err error) {
	d, err := l.database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop(ctx)) }()
	endpoint, err := newReceiver(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endpoint.close()) }()
	p, err := d.relay(ctx, "RELAY_DEFAULT_DESTINATION="+endpoint.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return f(d, endpoint, p)
}

func (p *process) awaitReady(ctx context.Context) error {
	return until(ctx, time.Minute, "the relay is ready", func() (bool, error) {
		select {
		case <-p.ended:
			return false, fmt.Errorf("the relay ended:\n%s", p.log)
		default:
		}
		page, ok := ask("http://" + p.metrics + "/readyz")
		return ok && strings.Contains(page, "stream: ok") && strings.Contains(page, "broker: ok"), nil
	})
}

// stop ends the relay by SIGTERM and waits for its end.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("the relay did not end within a minute of SIGTERM:\n%s", p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the relay ended with code %d:\n%s", code, p.log)
	}
	return nil
}

// written is how many deliveries have ended well, and are written, since the relay's start.
// What was put into the table to wait counts for nothing.
func (p *process) written() int {
	return p.metric(`relay_reconcile_outcomes_total{status="handled"}`) + p.metric(`relay_reconcile_outcomes_total{status="delivered"}`)
}

// metric returns the sum of a metric's samples, whole ones only; zero if there is none.
func (p *process) metric(name string) int { return int(p.value(name)) }

// value is metric with its fraction.
func (p *process) value(name string) float64 {
	page, _ := ask("http://" + p.metrics + "/metrics")
	var sum float64
	for line := range strings.Lines(page) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		var v float64
		fields := strings.Fields(rest)
		if _, err := fmt.Sscan(fields[len(fields)-1], &v); err == nil {
			sum += v
		}
	}
	return sum
}

// ask returns a page and whether its status is 200. The page is empty if no server answers.
func ask(url string) (page string, ok bool) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return "", false
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return string(b), err == nil && answer.StatusCode == http.StatusOK
}

// until polls ok until it is true, fails, or within is over.
func until(ctx context.Context, within time.Duration, what string, ok func() (bool, error)) error {
	const interval = 10 * time.Millisecond
	for deadline := time.Now().Add(within); ; {
		if done, err := ok(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s", within, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}
