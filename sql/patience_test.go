package sql

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestAReadFromAHalfOpenConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() {
			request := make([]byte, 1)
			for range 3 {
				theirs.Read(request)
				theirs.Write(request)
			}
			theirs.Read(request) // and no answer comes any more
		}()
		dial := func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		conn, err := patiently(dial, time.Minute)(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answer := make([]byte, 1)
		for range 3 {
			if _, err := conn.Write([]byte("?")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(answer); err != nil {
				t.Fatalf("an answer that comes at once: %v", err)
			}
			time.Sleep(time.Hour) // idle as long as it likes
		}
		asked := time.Now()
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(answer); err == nil || time.Since(asked) != time.Minute {
			t.Errorf("it ended after %s with %v", time.Since(asked), err)
		}
	})
}
