package sql

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestExpensiveAnswersAreShared: fifty callers in a second ask once, and a question that takes long is asked seldom.
func TestExpensiveAnswersAreShared(t *testing.T) {
	t.Parallel()
	for took, every := range map[time.Duration]time.Duration{10 * time.Millisecond: time.Second, 200 * time.Millisecond: 4 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			s := sampled[int]{ask: func(context.Context) (int, error) {
				asked++
				time.Sleep(took)
				return asked, nil
			}}
			var callers sync.WaitGroup
			for i := range 50 {
				callers.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					if n, err := s.get(t.Context()); n != 1 || err != nil {
						t.Errorf("caller %d has answer %d, %v", i, n, err)
					}
				})
			}
			callers.Wait()
			time.Sleep(every)
			if n, err := s.get(t.Context()); n != 2 || err != nil {
				t.Errorf("%s later the answer is %d, %v", every, n, err)
			}
		})
	}
}

// TestAFailedQuestionIsAskedAgain: an error is no answer for those who come later.
func TestAFailedQuestionIsAskedAgain(t *testing.T) {
	t.Parallel()
	fails := errors.New("the database is away")
	s := sampled[int]{ask: func(context.Context) (int, error) { return 7, fails }}
	if n, err := s.get(t.Context()); n != 0 || !errors.Is(err, fails) {
		t.Errorf("%d, %v", n, err)
	}
	fails = nil
	if n, err := s.get(t.Context()); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
