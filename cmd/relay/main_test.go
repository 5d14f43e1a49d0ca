package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runMain runs one command line in this process.
func runMain(t *testing.T, ctx context.Context, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = realMain(ctx, &App{Stdout: &out, Stderr: &errs, Env: env}, args)
	return code, out.String(), errs.String()
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, out, errs := runMain(t, t.Context(), nil, "version")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "relay ") || strings.Count(out, "\n") != 1 {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
	}
	code, out, errs = runMain(t, t.Context(), nil, "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(out), &b); code != 0 || errs != "" || err != nil || b != readBuild() || b.Version == "" {
		t.Errorf("--json: code %d, stdout %q, stderr %q, error %v", code, out, errs, err)
	}
}

func TestBuildString(t *testing.T) {
	t.Parallel()
	b := build{Version: "v1.2.3", Revision: "abc", Modified: true, Go: "go1.26", Platform: "linux/amd64"}
	if got, want := b.String(), "relay v1.2.3 revision abc (modified) go1.26 linux/amd64"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHelpIsASuccess(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"version", "--help"}} {
		code, out, errs := runMain(t, t.Context(), nil, args...)
		if code != 0 || errs != "" || !strings.Contains(out, "Usage: relay") {
			t.Errorf("%v: code %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
}

func TestBadCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"versoin"}, {"version", "--xml"}, {"version", "more"}} {
		code, out, errs := runMain(t, t.Context(), nil, args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "relay: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: code %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
}

func TestPrintErrorIsOneLine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	printError(&b, errors.Join(errors.New("first"), errors.New("second\n")))
	if got, want := b.String(), "relay: first; second\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 2)
	exits := make(chan int, 1)
	ctx, stop := untilSignal(t.Context(), signals, func(code int) { exits <- code })
	defer stop()
	signals <- syscall.SIGTERM
	<-ctx.Done()
	var stopped stopSignal
	if !errors.As(context.Cause(ctx), &stopped) || stopped.Error() != "stopped by SIGTERM" || stopped.exitCode() != 143 {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
	select {
	case code := <-exits:
		t.Fatalf("the first signal ended the process with %d", code)
	default:
	}
	signals <- syscall.SIGINT
	if code := <-exits; code != 130 {
		t.Errorf("the second signal ended the process with %d, want 130", code)
	}
}

func TestSignalWatchEndsWithItsCommand(t *testing.T) {
	t.Parallel()
	ctx, stop := untilSignal(t.Context(), make(chan os.Signal), func(int) { t.Error("exit") })
	stop()
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != context.Canceled {
		t.Errorf("the cause is %v", cause)
	}
}

// TestProgram builds the program and runs it as a person would.
func TestProgram(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "relay")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "relay ") {
		t.Errorf("version: %q, %v", out, err)
	}
	out, err = exec.CommandContext(t.Context(), program, "nonsense").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || len(out) != 0 {
		t.Errorf("nonsense: %q, %v", out, err)
	}
}

// TestSignalsReachTheProcess sends real signals to a process that stops for no reason of
// its own: this test binary, told by a variable to play that part.
func TestSignalsReachTheProcess(t *testing.T) {
	if os.Getenv("TEST_PLAY_STUBBORN") != "" {
		playStubborn()
	}
	t.Parallel()
	for _, tt := range []struct {
		sig  syscall.Signal
		code int
	}{{syscall.SIGTERM, 143}, {syscall.SIGINT, 130}} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSignalsReachTheProcess$")
		cmd.Env = append(os.Environ(), "TEST_PLAY_STUBBORN=1")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ready\n", "stopping\n"} {
			line := make([]byte, len(want))
			if _, err := stdout.Read(line); err != nil || string(line) != want {
				t.Fatalf("%q, %v; want %q", line, err, want)
			}
			if err := cmd.Process.Signal(tt.sig); err != nil {
				t.Fatal(err)
			}
		}
		err = cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != tt.code {
			t.Errorf("after two %v: %v, want exit code %d", tt.sig, err, tt.code)
		}
	}
}

func playStubborn() {
	ctx, stop := untilSignal(context.Background(), stopSignals(), os.Exit)
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("stopping")
	time.Sleep(time.Minute)
}
