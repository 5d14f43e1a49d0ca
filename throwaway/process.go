package throwaway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pollInterval is how often a starting server is looked at.
const pollInterval = 10 * time.Millisecond

// process is a server's process, reaped as soon as it ends.
type process struct {
	name string
	pid  int
	log  string        // path of the file that holds its output
	done chan struct{} // closed once it has ended and been reaped
	err  error         // how it ended; read after done
}

// launch describes a process to start in a folder.
type launch struct {
	name string   // in errors and the log's file name
	path string   // of the binary
	args []string // without the name
	env  []string // the whole environment
	log  io.Writer
}

// start starts the process as the folder's owner, in a session of its own. Its output goes
// to a file in the folder, and to l.log if set.
func (f *folder) start(l launch) (*process, error) {
	p := &process{name: l.name, log: filepath.Join(f.path, l.name+".log"), done: make(chan struct{})}
	file, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", l.name, err)
	}
	cmd := f.command(context.Background(), l.env, l.path, l.args...)
	cmd.Stdout = file
	if l.log != nil {
		cmd.Stdout = io.MultiWriter(file, l.log)
		cmd.WaitDelay = time.Second
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", l.name, err), file.Close())
	}
	p.pid = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		file.Close()
		close(p.done)
	}()
	return p, nil
}

// command returns a command that runs as the folder's owner, in the folder.
func (f *folder) command(ctx context.Context, env []string, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = f.path
	cmd.Env = env
	cmd.SysProcAttr = newSession(f.owner.credential)
	return cmd
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// until polls ready until it says true. It ends early when the process does, or ctx.
func (p *process) until(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %w\n%s", p.name, p.err, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s did not get ready: %w\n%s", p.name, ctx.Err(), tail(p.log))
		case <-tick.C:
		}
	}
	return nil
}

// end sends the signal and waits until the process has ended.
func (p *process) end(signal syscall.Signal, within time.Duration) error {
	if err := kill(p.pid, signal); err != nil && p.running() {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(within):
		return fmt.Errorf("%s did not end within %s after %s\n%s", p.name, within, signal, tail(p.log))
	}
}

// tail returns the last lines of a log, for an error.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
