package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

const (
	// concurrency is that of POSTs, the default of RELAY_HTTP_CONCURRENCY.
	concurrency = 64
	// window is how many publishes may await their confirm.
	window = 1000
)

// postAll makes n POSTs over kept connections.
func postAll(ctx context.Context, url string, n int) error {
	transport := &http.Transport{MaxIdleConnsPerHost: concurrency}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	body := []byte(newPayload(time.Now()))
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range concurrency {
		group.Go(func() error {
			for next.Add(1) <= int64(n) {
				if err := post(ctx, client, url, body); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// onChannel runs f on a channel of its own to the broker.
func (l *lab) onChannel(f func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(l.rabbit.URL(""))
	if err != nil {
		return fmt.Errorf("dial RabbitMQ: %w", err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return f(ch)
}

// declare makes the database's quorum queue, empty.
func (d *database) declare() error {
	return d.lab.onChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(d.queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
		if err == nil {
			_, err = ch.QueuePurge(d.queue, false)
		}
		return err
	})
}

// target is the relay's name for the queue.
func (d *database) target() string { return "amqp:/" + d.queue }

// publishAll publishes n persistent messages and waits for their confirms, window at once.
func (d *database) publishAll(ctx context.Context, n int) error {
	return d.lab.onChannel(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirms := make(chan *amqp.DeferredConfirmation, window)
		acked := make(chan error, 1)
		go func() {
			var refused error
			for confirm := range confirms {
				if !confirm.Wait() {
					refused = errors.New("the broker refused a message")
				}
			}
			acked <- refused
		}()
		err := d.publish(ctx, ch, n, confirms)
		close(confirms)
		return errors.Join(err, <-acked)
	})
}

func (d *database) publish(ctx context.Context, ch *amqp.Channel, n int, confirms chan<- *amqp.DeferredConfirmation) error {
	body := []byte(newPayload(time.Now()))
	for range n {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", d.queue, true, false, amqp.Publishing{
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body,
		})
		if err != nil {
			return err
		}
		confirms <- confirm
	}
	return nil
}

// consume receives from the queue until ctx ends, acknowledges each message and gives its
// body to r.
func (d *database) consume(ctx context.Context, r *recorder) error {
	return d.lab.onChannel(func(ch *amqp.Channel) error {
		const prefetch = 200
		if err := ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		messages, err := ch.ConsumeWithContext(ctx, d.queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		for m := range messages {
			r.body(m.Body)
			if err := m.Ack(false); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
}
