package throwaway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Nginx is an HTTP server. The code that started it calls Remove.
type Nginx struct {
	folder  *folder
	port    *port
	process *process
}

var errNoNginx = errors.New("no nginx on this machine; scripts/install-test installs it")

// StartNginx starts an nginx on a free port, with the given lines in its block server beside
// the one that listens with TLS and HTTP/2, and returns when it takes connections. certificate and
// key are PEM.
func StartNginx(ctx context.Context, certificate, key, lines string) (*Nginx, error) {
	binary, err := findNginx()
	if err != nil {
		return nil, err
	}
	owner, err := accountFor("nobody")
	if err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	port, err := takePort()
	if err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	folder, err := newFolder("relay-nginx", owner)
	if err != nil {
		port.release()
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	n := &Nginx{folder: folder, port: port}
	if err := n.start(ctx, binary, certificate, key, lines); err != nil {
		return nil, errors.Join(err, n.Remove())
	}
	return n, nil
}

// findNginx looks where distributions put it, which is not in every user's PATH.
func findNginx() (string, error) {
	const usual = "/usr/sbin/nginx"
	if _, err := os.Stat(usual); err == nil {
		return usual, nil
	}
	path, err := exec.LookPath("nginx")
	if err != nil {
		return "", errNoNginx
	}
	return path, nil
}

func (n *Nginx) start(ctx context.Context, binary, certificate, key, lines string) (err error) {
	files := map[string]string{"cert.pem": certificate, "key.pem": key, "nginx.conf": n.settings(lines)}
	for name, content := range files {
		if err := n.folder.owner.write(filepath.Join(n.folder.path, name), content); err != nil {
			return err
		}
	}
	n.process, err = n.folder.start(launch{
		name: "relay-nginx", path: binary, env: []string{"PATH=" + os.Getenv("PATH")},
		args: []string{"-p", n.folder.path, "-e", "stderr", "-c", filepath.Join(n.folder.path, "nginx.conf")},
	})
	if err != nil {
		return err
	}
	if err := n.folder.watch("TERM", n.process.pid); err != nil {
		return err
	}
	return n.process.until(ctx, func() bool { return answers(n.port.number) })
}

// settings keep everything that nginx writes in its folder, and it in one process.
func (n *Nginx) settings(lines string) string {
	path := n.folder.path
	temporary := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("\t%s_temp_path %s/%s;\n", kind, path, kind)
	}
	return fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
%[2]s	server {
		listen 127.0.0.1:%[3]d ssl http2;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
%[4]s
	}
}
`, path, temporary, n.port.number, lines)
}

// URL returns its address.
func (n *Nginx) URL() string { return "https://127.0.0.1:" + strconv.Itoa(n.port.number) }

// Remove stops the server if it runs and deletes what belongs to it.
func (n *Nginx) Remove() error {
	var err error
	if n.process != nil && n.process.running() {
		err = n.process.end(syscall.SIGTERM, stopLimit)
	}
	n.port.release()
	return errors.Join(err, n.folder.remove())
}
