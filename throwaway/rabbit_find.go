package throwaway

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

var errNoRabbit = errors.New("no RabbitMQ on this machine; scripts/install-test installs it")

// FindRabbit returns nil if a RabbitMQ node can be started from binaries on the machine,
// else an error that names the command that installs them.
func FindRabbit() error {
	_, err := rabbitScripts()
	return err
}

// rabbitScripts returns the folder of RabbitMQ's own scripts. Debian's in /usr/sbin are
// wrappers that change the user and forget the environment; those behind them do not.
func rabbitScripts() (string, error) {
	path := "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("rabbitmq-server"); err != nil {
			return "", errNoRabbit
		}
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", errNoRabbit
	}
	return filepath.Dir(path), nil
}
