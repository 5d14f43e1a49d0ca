package throwaway_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"relay/throwaway"
)

// roleVariable makes the test binary, started again by a test, play another part.
const roleVariable = "THROWAWAY_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "postgres":
		holdPostgres()
	default:
		os.Exit(m.Run())
	}
}

// holdPostgres starts a server, says where it is, and waits to be killed.
func holdPostgres() {
	p, err := throwaway.StartPostgres(context.Background(), throwaway.PostgresConfig{Name: "relay-test-held"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held", p.Dir(), pidOf(p.Dir()+"/data/postmaster.pid"))
	select {}
}

func pidOf(path string) (pid int) {
	b, err := os.ReadFile(path)
	if err == nil {
		_, err = fmt.Sscan(string(b), &pid)
	}
	if err != nil {
		panic(err)
	}
	return pid
}

func TestPostgresEndsWithAKilledProcess(t *testing.T) {
	t.Parallel()
	holder, words := hold(t, "postgres")
	var pid int
	_, err := fmt.Sscan(words[2], &pid)
	check(t, err)
	check(t, holder.Process.Kill())
	holder.Wait()
	eventually(t, 15*time.Second, "the server ends", func() bool { return !alive(pid) })
	eventually(t, 15*time.Second, "its folder is deleted", func() bool {
		_, err := os.Stat(words[1])
		return os.IsNotExist(err)
	})
}

// hold starts this test binary in the given part and returns the words it answers with.
func hold(t *testing.T, role string) (*exec.Cmd, []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	words := strings.Fields(line)
	if len(words) < 3 || words[0] != "held" {
		t.Fatalf("the holder says: %s", line)
	}
	return cmd, words
}
