package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthyLimit bounds `relay healthy`. It is above admin.DefaultProbeTimeout, so that the answer of a relay whose
// probes run into their own limit arrives.
const healthyLimit = 3 * time.Second

// HealthyCmd is `relay healthy`.
type HealthyCmd struct{ JSON bool }

func (c *HealthyCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "healthy", Short: "Ask the relay that runs on this machine whether it is ready.",
		Long: "Ask the relay that runs on this machine, or in this container, whether it is ready: GET /readyz of RELAY_METRICS_ADDR,\n" +
			"else of RELAY_ADMIN_ADDR. It needs no other variable, no database and no shell, and exits 0 if the relay is ready.",
		Args: exactly(), Example: "  relay healthy",
	}
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// readiness is the answer of /readyz, as JSON.
type readiness struct {
	Ready bool              `json:"ready"`
	Parts map[string]string `json:"parts"` // what /readyz says of each part: ok, or failed
}

// Run prints what /readyz answers. An answer other than 200 is an error.
func (c *HealthyCmd) Run(ctx context.Context, app *App) error {
	address, err := healthAddress(app.Env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthyLimit)
	defer cancel()
	code, body, err := askReadiness(ctx, address)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	ready := code == http.StatusOK
	switch {
	case c.JSON:
		if err := printJSON(app.Stdout, readiness{ready, partsOf(lines[1:])}); err != nil {
			return err
		}
	case ready:
		if _, err := fmt.Fprintln(app.Stdout, strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	if !ready {
		return fmt.Errorf("http://%s/readyz answers %d: %s", address, code, strings.Join(lines, "; "))
	}
	return nil
}

// partsOf reads the lines of /readyz after the first.
func partsOf(lines []string) map[string]string {
	parts := make(map[string]string, len(lines))
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		parts[name] = text
	}
	return parts
}

// askReadiness asks the address, and no proxy on the way.
func askReadiness(ctx context.Context, address string) (code int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return 0, "", fmt.Errorf("ask the relay at %s: %w", address, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", fmt.Errorf("no relay answers at %s: %w; is it running, with the same RELAY_METRICS_ADDR?", address, err)
	}
	defer answer.Body.Close()
	const most = 16 << 10
	text, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return 0, "", fmt.Errorf("read the answer of the relay at %s: %w", address, err)
	}
	return answer.StatusCode, string(text), nil
}

// healthAddress returns where this machine reaches /readyz.
func healthAddress(env map[string]string) (string, error) {
	for _, name := range []string{"RELAY_METRICS_ADDR", "RELAY_ADMIN_ADDR"} {
		address, err := readAddress(env, name)
		if err != nil {
			return "", err
		}
		if address != "" {
			return reachable(string(address)), nil
		}
	}
	return "", errors.New("RELAY_METRICS_ADDR and RELAY_ADMIN_ADDR are off: set one of them, so that the relay can be asked")
}

// readAddress reads one variable and nothing else of the configuration.
func readAddress(env map[string]string, name string) (Address, error) {
	src := newSource(env)
	value, set := src.Lookup(name)
	if !set {
		value = src.docs[name].Default
	}
	var address Address
	var why reason
	if err := address.EnvDecode(value); err != nil {
		errors.As(err, &why)
		return "", src.fault(name, why)
	}
	return address, nil
}

// reachable turns an address to listen on into one to connect to: all addresses of the machine become the loopback.
func reachable(address string) string {
	host, port, _ := net.SplitHostPort(address) // Address.EnvDecode has split it before
	switch ip, err := netip.ParseAddr(host); {
	case host == "", err == nil && ip.Unmap() == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
