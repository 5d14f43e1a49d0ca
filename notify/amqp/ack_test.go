package amqp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
)

// awayUntil is a taker whose database is away at first; each failure has words of its own.
type awayUntil struct {
	until time.Time
	tries atomic.Int64
}

// Acknowledge implements acknowledger.
func (a *awayUntil) Acknowledge(context.Context, string, []byte) (relay.AckResult, error) {
	if n := a.tries.Add(1); time.Now().Before(a.until) {
		return "", fmt.Errorf("read tcp 127.0.0.1:%d: reset", n)
	}
	return relay.AckHandled, nil
}

// While the database was away each of the workers logged a line every second.
func TestRepliesThatCannotBeStoredAreALineInTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		taker := &awayUntil{until: time.Now().Add(time.Minute)}
		a := &Destination{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Replies: Replies{Taker: taker}}}
		var workers sync.WaitGroup
		turns := make(chan struct{}, 1)
		for range repliesAtOnce {
			workers.Go(func() { a.takeReply(t.Context(), amqp091.Delivery{}, turns) })
		}
		workers.Wait()
		if n := strings.Count(log.String(), "\n"); n != 6 || !strings.Contains(log.String(), "failures=80") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		if n := taker.tries.Load(); n < 61*repliesAtOnce {
			t.Errorf("it was tried %d times", n)
		}
	})
}
