package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// terminalColumns reports whether f is a console, and how wide it is.
func terminalColumns(f *os.File) (columns int, is bool) {
	var mode uint32
	if windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) != nil {
		return 0, false
	}
	var info windows.ConsoleScreenBufferInfo
	if windows.GetConsoleScreenBufferInfo(windows.Handle(f.Fd()), &info) != nil {
		return 0, true // the console's input has no width
	}
	return int(info.Window.Right-info.Window.Left) + 1, true
}

// openFiles returns how many files the process may have open at once. Windows has no limit of a
// process that is lower.
func openFiles() int { return 1 << 14 }

// shell returns a command that cmd.exe runs. The end of ctx kills cmd.exe alone.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd.exe")
	// cmd.exe takes the rest of the line as it is, without the quoting of other programs.
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /d /s /c "` + line + `"`}
	return cmd
}
