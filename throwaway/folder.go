package throwaway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// watcherScript reads lines 'SIGNAL PID…' until its input ends. The last line names the processes
// to end then; if it is empty, the watcher ends none. A negative pid is a process group.
const watcherScript = `
trap '' HUP INT TERM
signal= pids=
while read -r first rest; do signal=$first pids=$rest; done
if [ -n "$pids" ]; then
	kill -s "$signal" -- $pids 2>/dev/null
	tries=0
	while [ $tries -lt 100 ] && kill -s 0 -- $pids 2>/dev/null; do
		sleep 0.1
		tries=$((tries + 1))
	done
	kill -s KILL -- $pids 2>/dev/null
fi
rm -rf -- "$1"
`

// folder is a temporary folder that disappears with this process, however that ends, and
// takes the processes that work in it along.
type folder struct {
	path  string
	owner account

	mu      sync.Mutex
	watcher *exec.Cmd
	pipe    io.WriteCloser
}

// newFolder makes a folder that only owner can enter and sets a watcher beside it.
func newFolder(prefix string, owner account) (*folder, error) {
	path, err := os.MkdirTemp(owner.tempBase(), prefix+"-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	f := &folder{path: path, owner: owner}
	if err := errors.Join(owner.own(path), f.setWatcher()); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), os.RemoveAll(path))
	}
	return f, nil
}

func (f *folder) setWatcher() error {
	f.watcher = exec.Command("/bin/sh", "-c", watcherScript, "relay-watcher", f.path)
	f.watcher.Dir = "/"
	f.watcher.SysProcAttr = newSession(nil)
	var err error
	if f.pipe, err = f.watcher.StdinPipe(); err != nil {
		return fmt.Errorf("watcher: %w", err)
	}
	if err := f.watcher.Start(); err != nil {
		return fmt.Errorf("watcher: %w", err)
	}
	return nil
}

// watch tells the watcher which processes to end by which signal if this process ends
// first. Without pids there are none any more.
func (f *folder) watch(signal string, pids ...int) error {
	words := []string{signal}
	for _, pid := range pids {
		words = append(words, strconv.Itoa(pid))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := io.WriteString(f.pipe, strings.Join(words, " ")+"\n"); err != nil {
		return fmt.Errorf("tell the watcher of %s: %w", f.path, err)
	}
	return nil
}

// remove ends the watcher, and with it what it watches, and deletes the folder. It may be
// called more than once.
func (f *folder) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pipe.Close()
	if f.watcher.ProcessState == nil {
		if err := f.watcher.Wait(); err != nil {
			return errors.Join(fmt.Errorf("watcher of %s: %w", f.path, err), os.RemoveAll(f.path))
		}
	}
	return os.RemoveAll(f.path)
}

// TempDir makes a temporary folder, named with the prefix, and returns its path and a
// function that deletes it. It is deleted too when this process ends without calling that.
func TempDir(prefix string) (path string, remove func() error, err error) {
	f, err := newFolder(prefix, account{})
	if err != nil {
		return "", nil, err
	}
	return f.path, f.remove, nil
}
