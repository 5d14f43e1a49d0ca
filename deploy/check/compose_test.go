package check

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// relayNames matches the variables of the relay.
var relayNames = regexp.MustCompile(`^RELAY_[A-Z_]+$`)

// The compose file names files that exist and variables that the relay knows, and confines the relay.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	file, schema := make(object), make(object)
	readYAML(t, "../compose.yaml", &file)
	readYAML(t, filepath.Join(chart, "values.schema.json"), &schema)
	services := file["services"].(object)
	for _, name := range []string{"postgres", "rabbitmq", "relay", "receiver"} {
		if dig(t, services, name, "image") == nil {
			t.Errorf("the service %s has no image", name)
		}
		volumes, _ := dig(t, services, name, "volumes").([]any)
		for _, volume := range volumes {
			host, _, _ := strings.Cut(volume.(string), ":")
			if _, err := os.Stat(filepath.Join("..", host)); strings.HasPrefix(host, "./") && err != nil {
				t.Errorf("%s mounts %s: %v", name, host, err)
			}
		}
	}
	relay := services["relay"].(object)
	for name := range relay["environment"].(object) {
		open := dig(t, schema, "properties", "config", "properties").(object)[name]
		secret := dig(t, schema, "properties", "secrets", "properties").(object)[name]
		if !relayNames.MatchString(name) || open == nil && secret == nil {
			t.Errorf("the relay does not know the variable %s", name)
		}
	}
	if relay["read_only"] != true || dig(t, relay, "cap_drop", 0) != "ALL" || dig(t, relay, "healthcheck", "test", 2) != "healthy" {
		t.Errorf("the relay is not confined, or has no health check: %v", relay)
	}
	for _, name := range []string{"postgres", "rabbitmq"} {
		if dig(t, relay, "depends_on", name, "condition") != "service_healthy" {
			t.Errorf("the relay does not wait for %s", name)
		}
	}
}

// docker-compose reads the compose file and finds nothing wrong.
func TestComposeFileIsRead(t *testing.T) {
	if *dist == "" {
		return
	}
	out, err := exec.CommandContext(t.Context(), "docker-compose", "--file", "../compose.yaml", "config", "--quiet").CombinedOutput()
	if err != nil {
		t.Errorf("docker-compose config (Debian's package docker-compose has it): %v\n%s", err, out)
	}
}

// The receiver of the compose file takes what the relay sends.
func TestComposeReceiver(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	cmd := exec.CommandContext(t.Context(), "python3", "-u", "../compose/receiver.py", port)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("python3: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var answer *http.Response
	for range time.Tick(20 * time.Millisecond) { // until Python has started
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/", strings.NewReader(`{"order": 1}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("webhook-id", "id-1")
		request.Header.Set("ce-type", "order.created")
		if answer, err = http.DefaultClient.Do(request); err == nil {
			break
		}
	}
	if answer == nil || answer.StatusCode != http.StatusNoContent {
		t.Fatalf("the answer is %v", answer)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "id-1 order.created {\"order\": 1}\n" {
		t.Errorf("the receiver prints %q, %v", line, err)
	}
}

// freePort returns a port that no program listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
