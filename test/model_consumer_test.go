package test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"relay/test/checker"
)

// toConsumer names the subscription whose consumer acknowledges, and consumerSilence is how
// long the relay waits for its word.
const (
	toConsumer      = "consumer"
	consumerSilence = time.Second
)

// habit is what a consumer does with a message that it takes.
type habit int

const (
	saysAtOnce  habit = iota // that it is handled, before it answers the request
	saysLater                // a while after it has answered
	repeats                  // what it has said
	failsOnce                // and has handled it the second time
	failsAtOnce              // the same, and says so before it answers
	givesUp                  // it failed for good
	wavers                   // it failed and may be tried again; a moment later it is handled
	isForged                 // a forged acknowledgement comes before the true one
	forgets                  // to say anything the first time
	breaksDown               // it is handled, and the answer is 500
	answers                  // 200: there is nothing to acknowledge
	habits
)

// habitOf is decided by the message's id.
func habitOf(id string) habit {
	n, _ := strconv.ParseUint(id[len(id)-6:len(id)-2], 16, 16)
	return habit(n % uint64(habits))
}

// consumers say how their work ended, to whichever relay takes it.
type consumers struct {
	relays   func() []string // the addresses of those that run
	ctx      context.Context // of the test
	speaking sync.WaitGroup

	mu    sync.Mutex
	words []checker.Word
}

// all waits until everything is said and returns it.
func (c *consumers) all() []checker.Word {
	c.speaking.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.words
}

// take does with a message, which came for the n-th time, what its habit is.
func (c *consumers) take(w http.ResponseWriter, r *http.Request, id string, n int) {
	word := checker.Word{Message: id, Subscription: toConsumer, Handled: true}
	failed := checker.Word{Message: id, Subscription: toConsumer, Retry: true}
	token := r.Header.Get("relay-ack-url")
	later := func(words ...checker.Word) {
		c.speaking.Go(func() {
			for _, one := range words {
				<-time.After(time.Duration(20+rand.IntN(300)) * time.Millisecond)
				c.say(token, one)
			}
		})
	}
	code := http.StatusAccepted
	switch as := habitOf(id); {
	case as == saysAtOnce:
		c.say(token, word)
	case as == breaksDown:
		c.say(token, word)
		code = http.StatusInternalServerError
	case as == answers:
		code = http.StatusOK
	case as == repeats:
		later(word, word)
	case as == failsOnce && n == 1:
		later(failed, failed)
	case as == failsAtOnce && n == 1:
		c.say(token, failed)
	case as == givesUp:
		later(checker.Word{Message: id, Subscription: toConsumer})
	case as == wavers:
		later(failed, word)
	case as == isForged:
		c.say(forge(token), checker.Word{Message: id, Subscription: toConsumer, Handled: true, Forged: true})
		later(word)
	case as == forgets && n == 1:
	default:
		later(word)
	}
	w.WriteHeader(code)
}

// forge changes the signature of a token.
func forge(token string) string {
	const from = 10 // from the end: the last characters may be padding
	i := len(token) - from
	other := "A"
	if token[i] == 'A' {
		other = "B"
	}
	return token[:i] + other + token[i+1:]
}

// say posts a word until a relay answers in a way that means something, for as long as
// the test lasts, and notes it.
func (c *consumers) say(token string, word checker.Word) {
	word.Issued = time.Now()
	for c.ctx.Err() == nil {
		answer, err := c.post(token, word)
		if err == nil && answer != http.StatusServiceUnavailable {
			word.Answer, word.Done = answer, time.Now()
			break
		}
		word.Unsure = word.Unsure || err != nil
		<-time.After(20 * time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.words = append(c.words, word)
}

// post says a word to one of the relays.
func (c *consumers) post(token string, word checker.Word) (answer int, err error) {
	to, err := url.Parse(token)
	if err != nil {
		return 0, err
	}
	if relays := c.relays(); len(relays) > 0 {
		to.Host = relays[rand.IntN(len(relays))]
	}
	body := `{"outcome":"failed","error":"so it is","retry":` + strconv.FormatBool(word.Retry) + "}"
	if word.Handled {
		body = saysHandled
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
