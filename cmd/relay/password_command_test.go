package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"relay/test/harness"
)

func TestPasswordCommand(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"echo geheim":                      "geheim",
		"printf 'ge heim'":                 "ge heim",
		"echo said >&2; printf 'geheim\n'": "geheim",
	} {
		c := &passwordCommand{line: line, limit: passwordLimit}
		if got, err := c.password(t.Context()); err != nil || got != want {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
}

// An error tells what the command said on standard error, and nothing of its output.
func TestPasswordCommandFails(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"echo geheim; echo 'token expired' >&2; exit 3": "exit status 3: token expired",
		"echo geheim; exit 1":                           "exit status 1",
		"true":                                          "printed nothing",
		"echo geheim; echo geheim":                      "more than one line",
		"head -c 20000 /dev/zero | tr '\\0' g":          "more than one line",
		"no-such-command-here geheim 2>&1 >/dev/null":   "exit status 127",
	} {
		c := &passwordCommand{line: line, limit: passwordLimit}
		got, err := c.password(t.Context())
		if err == nil || got != "" || !strings.HasPrefix(err.Error(), "RELAY_DATABASE_PASSWORD_COMMAND: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %.20q, error %v, want %q", line, got, err, want)
		}
	}
}

// A command that hangs is ended with all that it has started.
func TestPasswordCommandIsBounded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	c := &passwordCommand{line: "sleep 60 & echo $! > " + file + "; sleep 60", limit: 500 * time.Millisecond}
	began := time.Now()
	_, err := c.password(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not end within 500ms") || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 5*time.Second, "what the command has started ends too", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(status), ") Z ")
	})
}

// Connections that are opened at once share one run.
func TestPasswordCommandIsShared(t *testing.T) {
	t.Parallel()
	runs := filepath.Join(t.TempDir(), "runs")
	c := &passwordCommand{line: "echo >> " + runs + "; sleep 0.5; echo geheim", limit: passwordLimit}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got, err := c.password(t.Context()); err != nil || got != "geheim" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	group.Wait()
	if content, err := os.ReadFile(runs); err != nil || len(content) > 5 {
		t.Errorf("it ran %d times for 20 connections, error %v", len(content), err)
	}
}
