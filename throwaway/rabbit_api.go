package throwaway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// apiClient keeps no connections: a node that was killed must not leave dead ones behind.
var apiClient = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// ManagementAddress is where the management plugin listens.
func (r *Rabbit) ManagementAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.ports.management.number))
}

// API calls the management plugin: method and path, such as "GET", "/api/queues", with
// body as JSON if it is not nil, and the answer read into into if that is not nil. Names
// within the path are escaped by the caller. An answer that is not 2xx is an error. What
// the plugin counts is up to 5 seconds old.
func (r *Rabbit) API(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(b)
	}
	address := "http://" + r.ManagementAddress() + path
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.SetBasicAuth(rabbitUser, r.password)
	req.Header.Set("Content-Type", "application/json")
	answer, err := apiClient.Do(req)
	if err != nil {
		return fmt.Errorf("RabbitMQ's management plugin: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// NewVhost makes a virtual host in which the node's administrator may do everything.
func (r *Rabbit) NewVhost(ctx context.Context, name string) error {
	name = url.PathEscape(name)
	if err := r.API(ctx, "PUT", "/api/vhosts/"+name, nil, nil); err != nil {
		return fmt.Errorf("make a virtual host: %w", err)
	}
	all := map[string]string{"configure": ".*", "write": ".*", "read": ".*"}
	if err := r.API(ctx, "PUT", "/api/permissions/"+name+"/"+rabbitUser, all, nil); err != nil {
		return fmt.Errorf("allow the use of a virtual host: %w", err)
	}
	return nil
}

// DropVhost deletes a virtual host with its queues; its connections are closed.
func (r *Rabbit) DropVhost(ctx context.Context, name string) error {
	if err := r.API(ctx, "DELETE", "/api/vhosts/"+url.PathEscape(name), nil, nil); err != nil {
		return fmt.Errorf("delete a virtual host: %w", err)
	}
	return nil
}
