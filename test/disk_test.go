package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

// toSmallDisk moves a server to a file system of the given size. Mounting takes root.
func toSmallDisk(t testing.TB, server *throwaway.Postgres, size string) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("mounting a small disk takes root; continuous integration has it")
	}
	if err := server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(server.Dir(), "data")
	disk := exec.Command("sh", "-ec", `mv "$1" "$1.before"; mkdir "$1"; mount -t tmpfs -o size="$2" relay-test "$1"; cp -a "$1.before/." "$1"`, "sh", data, size)
	if out, err := disk.CombinedOutput(); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Stop("immediate"), syscall.Unmount(data, 0)); err != nil {
			t.Error(err)
		}
	})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fill leaves no byte free on the server's disk, until free is called.
func fill(server *throwaway.Postgres) (free func() error, err error) {
	path := filepath.Join(server.Dir(), "data", "filler")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	free = func() error { return os.Remove(path) }
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return free, fmt.Errorf("the disk is not full: %w", err)
	}
	return free, nil
}

// filled is fill where nothing may go wrong.
func filled(t testing.TB, server *throwaway.Postgres) (free func()) {
	t.Helper()
	release, err := fill(server)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

// zeros is an endless file of them.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A disk that is full refuses tables their growth. When the server cannot write WAL any more it
// ends, until an operator has made room and starts it again.
func TestNothingIsSentWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"min_wal_size": "32MB", "max_wal_size": "32MB"}})
	toSmallDisk(t, server, "200m")
	s := &system{db: harness.NewDatabase(t, server), receiver: newReceiver(t, slowly)}
	prepare(t, s.db)
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.relay = start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	const n = 4000
	s.burst(t, n)
	free := filled(t, server)
	s.relay.says("writing: failed: ", "No space left on device")
	s.sendsNothing(t, n, 2*time.Second)
	free()
	s.delivers(t, 500)

	free = filled(t, server)
	harness.Eventually(t, 30*time.Second, "the server ends for want of WAL", func() bool {
		_, err := s.admin.Exec(t.Context(), "select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
		return err != nil
	})
	s.relay.says("writing: failed: ")
	s.sendsNothing(t, n, 2*time.Second)
	free()
	harness.Eventually(t, 30*time.Second, "the server is back", func() bool {
		s.admin.Reset()
		return server.Start(context.WithoutCancel(t.Context())) == nil && s.admin.Ping(t.Context()) == nil
	})
	s.arrives(t, n)
	s.relay.waitReady()
}
