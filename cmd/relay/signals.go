package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals returns the channel on which the process hears that it should stop. SIGHUP,
// which a closed terminal sends, is one of them unless nohup has started the process.
func stopSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals
}

// untilSignal returns a context that ends with the first of signals, its cause being a
// stopSignal. The second one calls exit at once. The caller calls stop when its work is
// done, whether or not a signal came.
func untilSignal(parent context.Context, signals <-chan os.Signal, exit func(code int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		select {
		case sig := <-signals:
			cancel(stopSignal{sig})
		case <-done:
			return
		}
		select {
		case sig := <-signals:
			exit(stopSignal{sig}.exitCode())
		case <-done:
		}
	}()
	return ctx, func() { close(done); cancel(nil) }
}

// stopSignal is the cause of a context that ended because the process received a signal.
type stopSignal struct{ os.Signal }

// Error names the signal.
func (s stopSignal) Error() string {
	switch s.Signal {
	case syscall.SIGTERM:
		return "stopped by SIGTERM"
	case syscall.SIGHUP:
		return "stopped by SIGHUP"
	}
	return "stopped by SIGINT"
}

func (s stopSignal) exitCode() int {
	n, _ := s.Signal.(syscall.Signal)
	return 128 + int(n)
}
