package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// readyLimit bounds the relay's start.
const readyLimit = 30 * time.Second

// environment is the relay's whole configuration.
func (d *demo) environment() map[string]string {
	env := map[string]string{
		"RELAY_DATABASE_URL":        d.servers.postgres.URL(relayRole, d.servers.password, database),
		"RELAY_DEFAULT_DESTINATION": d.receiver.url(),
		"RELAY_HTTP_SECRET":         d.receiver.secret,
		"RELAY_HTTP_TIMEOUT":        httpTimeout.String(),
		"RELAY_BACKOFF":             "200ms,1s,2s",
		"RELAY_EGRESS_ALLOW":        "loopback", // for a person's own endpoint
		"RELAY_SHUTDOWN_GRACE":      "5s",
		"RELAY_METRICS_ADDR":        d.metrics,
		"RELAY_ADMIN_ADDR":          d.console,
		"RELAY_ADMIN_TOKEN":         d.token,
		"RELAY_SOURCE":              "shop",
		"RELAY_LOG_LEVEL":           "warn",
	}
	if d.servers.rabbit != nil {
		env["RELAY_AMQP_URL"] = d.servers.rabbit.URL("")
	}
	return env
}

// awaitReady asks the relay's readiness page until it owns its shards and hears commits.
func (d *demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	wanted := []string{"stream: ok"}
	if d.consumer != nil {
		wanted = append(wanted, "broker: ok")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	page := ""
	for {
		text, ok := ask(ctx, "http://"+d.metrics+"/readyz")
		for _, line := range wanted {
			ok = ok && strings.Contains(text, line)
		}
		if ok {
			return nil
		}
		if text != "" {
			page = text
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("the relay did not get ready within %s: %s", readyLimit, page)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// ask returns a page and whether its status is 200. The text is empty as long as no server answers.
func ask(ctx context.Context, url string) (text string, ok bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", false
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err == nil && answer.StatusCode == http.StatusOK
}

// signInLink asks the relay for an address of the console that signs in one operator once.
func (d *demo) signInLink(ctx context.Context) (string, error) {
	const what = "ask for a link to the console"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.console+"/api/v1/signin/links", strings.NewReader("{}"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	defer answer.Body.Close()
	var link struct{ Path string }
	if err := json.NewDecoder(answer.Body).Decode(&link); err != nil || link.Path == "" {
		return "", errors.Join(fmt.Errorf("%s: the relay answers %s", what, answer.Status), err)
	}
	return "http://" + d.console + link.Path, nil
}
