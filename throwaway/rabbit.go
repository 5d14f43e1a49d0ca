package throwaway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// rabbitUser is the administrator of every throw-away node.
const rabbitUser = "relay"

// nodeName needs not be unique: each node has a name server (epmd) of its own.
const nodeName = "relay@localhost"

// RabbitConfig says how to start a RabbitMQ node. The zero value will do.
type RabbitConfig struct {
	// Name stands in the folder's name and in errors. Empty means "relay-rabbitmq".
	Name string
	// Settings are further lines of rabbitmq.conf, name to value. Listeners cannot be set.
	Settings map[string]string
	// Plugins are enabled besides the management plugin.
	Plugins []string
	// Log receives the node's log as it is written. Nil means that it is kept in the folder only,
	// and its end is part of the error when a start fails.
	Log io.Writer
}

// Rabbit is a running or stopped RabbitMQ node with the management plugin. Its methods are safe
// for concurrent use. The caller that started it calls Remove.
type Rabbit struct {
	cfg      RabbitConfig
	scripts  string
	folder   *folder
	ports    rabbitPorts
	password string

	mu    sync.Mutex
	node  *process // nil: never started
	names *process // epmd, Erlang's name server
}

// rabbitPorts are the ports of one node.
type rabbitPorts struct{ amqp, management, distribution, epmd *port }

// StartRabbit starts a new node in a temporary folder and returns when it takes
// connections. Its one user is an administrator with a random password, which URL knows.
func StartRabbit(ctx context.Context, cfg RabbitConfig) (*Rabbit, error) {
	if cfg.Name == "" {
		cfg.Name = "relay-rabbitmq"
	}
	scripts, err := rabbitScripts()
	if err != nil {
		return nil, err
	}
	owner, err := accountFor("rabbitmq")
	if err != nil {
		return nil, fmt.Errorf("start RabbitMQ: %w (the distribution's RabbitMQ package makes it: scripts/install-test)", err)
	}
	ports, err := takePorts(4)
	if err != nil {
		return nil, fmt.Errorf("start RabbitMQ: %w", err)
	}
	folder, err := newFolder(cfg.Name, owner)
	if err != nil {
		releaseAll(ports)
		return nil, fmt.Errorf("start RabbitMQ: %w", err)
	}
	r := &Rabbit{
		cfg: cfg, scripts: scripts, folder: folder, password: rand.Text(),
		ports: rabbitPorts{amqp: ports[0], management: ports[1], distribution: ports[2], epmd: ports[3]},
	}
	if err := r.configure(); err != nil {
		return nil, errors.Join(fmt.Errorf("configure RabbitMQ: %w", err), r.Remove())
	}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Remove())
	}
	return r, nil
}

// Start starts the node again after Stop or Kill, on the same ports and data, and returns
// when it takes connections. On a running node it does nothing.
func (r *Rabbit) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node != nil && r.node.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := r.startNames(ctx); err != nil {
		return err
	}
	node, err := r.folder.start(launch{
		name: r.cfg.Name,
		path: filepath.Join(r.scripts, "rabbitmq-server"),
		env:  r.environment(),
		log:  r.cfg.Log,
	})
	if err != nil {
		return err
	}
	r.node = node
	if err := r.folder.watch("KILL", -node.pid, r.names.pid); err != nil {
		return err
	}
	return node.until(ctx, func() bool { return r.ready(ctx) })
}

// startNames starts Erlang's name server in the foreground. Left to itself the node would
// start one that stays for ever.
func (r *Rabbit) startNames(ctx context.Context) error {
	if r.names != nil && r.names.running() {
		return nil
	}
	names, err := r.folder.start(launch{
		name: r.cfg.Name + "-epmd",
		path: "epmd",
		args: []string{"-address", "127.0.0.1", "-port", strconv.Itoa(r.ports.epmd.number)},
		env:  r.environment(),
	})
	if err != nil {
		return err
	}
	r.names = names
	if err := r.folder.watch("KILL", names.pid); err != nil {
		return err
	}
	return names.until(ctx, func() bool { return answers(r.ports.epmd.number) })
}

// answers reports whether a process listens on a port of 127.0.0.1.
func answers(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// ready reports whether the node has opened its listeners, AMQP last, and lets its user in.
func (r *Rabbit) ready(ctx context.Context) bool {
	return answers(r.ports.amqp.number) && r.API(ctx, "GET", "/api/whoami", nil, nil) == nil
}

// Stop shuts the node down in good order and returns when it has ended. It gives up after
// a minute.
func (r *Rabbit) Stop() error { return r.halt(syscall.SIGTERM) }

// Kill kills the node without warning and returns when it is gone.
func (r *Rabbit) Kill() error { return r.halt(syscall.SIGKILL) }

func (r *Rabbit) halt(signal syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range []*process{r.node, r.names} {
		if p == nil || !p.running() {
			continue
		}
		if err := p.end(signal, stopLimit); err != nil {
			return err
		}
	}
	return r.folder.watch("")
}

// Remove kills the node if it runs and deletes everything that belongs to it. It may be
// called more than once.
func (r *Rabbit) Remove() error {
	err := r.Kill()
	for _, p := range []*port{r.ports.amqp, r.ports.management, r.ports.distribution, r.ports.epmd} {
		p.release()
	}
	return errors.Join(err, r.folder.remove())
}

// URL returns the AMQP address of a virtual host for the node's administrator. Empty means
// the default one, "/".
func (r *Rabbit) URL(vhost string) string {
	if vhost == "" {
		vhost = "/"
	}
	u := url.URL{
		Scheme:  "amqp",
		User:    url.UserPassword(rabbitUser, r.password),
		Host:    net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port())),
		Path:    "/" + vhost,
		RawPath: "/" + url.PathEscape(vhost),
	}
	return u.String()
}

// Port returns the AMQP port on 127.0.0.1, the same over restarts.
func (r *Rabbit) Port() int { return r.ports.amqp.number }

// Dir returns the node's temporary folder.
func (r *Rabbit) Dir() string { return r.folder.path }

// Ctl runs rabbitmqctl on the node and returns what it prints. It starts an Erlang machine
// each time, a second or two of CPU: API is cheaper where it will do.
func (r *Rabbit) Ctl(ctx context.Context, args ...string) (string, error) {
	cmd := r.folder.command(ctx, r.environment(), filepath.Join(r.scripts, "rabbitmqctl"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("rabbitmqctl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// configure writes the node's files. Erlang refuses a cookie that others can read.
func (r *Rabbit) configure() error {
	owner := r.folder.owner
	for name, content := range map[string]string{
		".erlang.cookie":  rand.Text(),
		"enabled_plugins": "[" + strings.Join(append([]string{"rabbitmq_management"}, r.cfg.Plugins...), ",") + "].\n",
		"rabbitmq.conf":   r.settings(),
		"env.conf":        "",
	} {
		if err := owner.write(r.path(name), content); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rabbit) settings() string {
	settings := []string{
		"listeners.tcp.1 = 127.0.0.1:" + strconv.Itoa(r.ports.amqp.number),
		"management.tcp.ip = 127.0.0.1",
		"management.tcp.port = " + strconv.Itoa(r.ports.management.number),
		"default_user = " + rabbitUser,
		"default_pass = " + r.password,
		"log.console = true",
		"log.file = false",
		// A demonstration must not stop because a disk is nearly full.
		"disk_free_limit.absolute = 10MB",
	}
	for name, value := range r.cfg.Settings {
		settings = append(settings, name+" = "+value)
	}
	return strings.Join(settings, "\n") + "\n"
}

// environment is the whole of what the node and rabbitmqctl see: nothing of a node that
// the machine runs, in /etc or in variables, applies.
func (r *Rabbit) environment() []string {
	const loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + r.folder.path,
		"LANG=C.UTF-8",
		"ERL_EPMD_PORT=" + strconv.Itoa(r.ports.epmd.number),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP_BYTES=0",
		"RABBITMQ_NODENAME=" + nodeName,
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(r.ports.distribution.number),
		"RABBITMQ_CONF_ENV_FILE=" + r.path("env.conf"),
		"RABBITMQ_CONFIG_FILE=" + r.path("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + r.path("advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + r.path("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + r.path("mnesia"),
		"RABBITMQ_LOG_BASE=" + r.path("log"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + r.path("generated"),
		"RABBITMQ_PLUGINS_EXPAND_DIR=" + r.path("plugins"),
		"RABBITMQ_LOG=-color",
		"RABBITMQ_PID_FILE=" + r.path("pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=" + loopback,
		"RABBITMQ_CTL_ERL_ARGS=" + loopback,
		"RABBITMQ_CTL_DIST_PORT_MIN=0",
		"RABBITMQ_CTL_DIST_PORT_MAX=0",
		// The start script then becomes the node instead of waiting beside it.
		"RUNNING_UNDER_SYSTEMD=true",
	}
}

func (r *Rabbit) path(name string) string { return filepath.Join(r.folder.path, name) }
