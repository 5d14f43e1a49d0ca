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
		p, err := throwaway.StartPostgres(context.Background(), throwaway.PostgresConfig{})
		waitToBeKilled(p, err)
	case "rabbitmq":
		r, err := throwaway.StartRabbit(context.Background(), throwaway.RabbitConfig{})
		waitToBeKilled(r, err)
	}
	os.Exit(m.Run())
}

// waitToBeKilled says where the server is.
func waitToBeKilled(server interface{ Dir() string }, err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held", server.Dir())
	select {}
}

func TestServersEndWithAKilledProcess(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"postgres", "rabbitmq"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			holder, dir := hold(t, role)
			if len(processesOf(t, dir)) == 0 {
				t.Fatal("the server has no process")
			}
			check(t, holder.Process.Kill())
			holder.Wait()
			eventually(t, 20*time.Second, "the server and its folder are gone", func() bool {
				_, err := os.Stat(dir)
				return os.IsNotExist(err) && len(processesOf(t, dir)) == 0
			})
		})
	}
}

// hold starts this test binary in the given part and returns the server's folder.
func hold(t *testing.T, role string) (holder *exec.Cmd, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	dir, found := strings.CutPrefix(strings.TrimSpace(line), "held ")
	if !found {
		t.Fatalf("the holder says: %s", line)
	}
	return cmd, dir
}
