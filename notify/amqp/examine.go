package amqp

import (
	"context"
	"errors"
	"log/slog"
)

// Examined is how an address of the broker answers.
type Examined struct {
	Address string   // without user and password
	Broker  string   // product and version; empty: there is no connection
	Trouble *Trouble // nil: there is one
}

// Examine connects to each address of RELAY_AMQP_URL in turn and closes the connection. The error
// is that of CheckURL.
func Examine(ctx context.Context, text string) ([]Examined, error) {
	a, err := New(Config{URL: text, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	all := make([]Examined, len(a.addresses))
	for i, at := range a.addresses {
		all[i].Address = at.String()
		c, err := a.connectTo(ctx, at, "relay doctor")
		if err != nil {
			errors.As(err, &all[i].Trouble)
			continue
		}
		product, _ := c.conn.Properties["product"].(string)
		version, _ := c.conn.Properties["version"].(string)
		all[i].Broker = product + " " + version
		c.close()
	}
	return all, nil
}
