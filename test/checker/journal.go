// Package checker states what a system of producers, relays and receivers did wrong: what
// was lost, what was delivered although it was never committed, and which duplicates no
// failure explains. It judges by journals that stand outside of the system: the producer's,
// on disk before it commits, and the receivers'.
package checker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Outcome is how a transaction ended, as far as its producer knows.
type Outcome string

// The ends of a transaction. Unknown is one whose COMMIT was issued and did not return, or
// did not wait for the disk: whether its rows are in the table decides.
const (
	Unknown    Outcome = "unknown"
	Committed  Outcome = "committed"
	RolledBack Outcome = "rolled back"
)

// Message is what a producer knows of one message.
type Message struct {
	ID    string
	Key   string // empty: none
	Topic string
	// To is the receiver that is to have it.
	To      string
	Outcome Outcome

	// What follows is known of runs with subscriptions.
	Destination string    `json:",omitzero"` // a subscription, or Direct; empty: by topic
	Due         time.Time `json:",omitzero"` // zero: at once
	Begun       time.Time `json:",omitzero"` // when its INSERT was issued
	Ended       time.Time `json:",omitzero"` // when its COMMIT had returned
}

// Journal is a producer's, a file of JSON lines. Its methods are safe for concurrent use. The
// caller that made it calls Close.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// NewJournal makes the file, which must not exist.
func NewJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a journal: %w", err)
	}
	return &Journal{file: file}, nil
}

// Begin notes messages whose COMMIT or ROLLBACK is about to be issued. It returns when they
// are on disk; their outcome is Unknown until End.
func (j *Journal) Begin(messages ...Message) error {
	for i := range messages {
		messages[i].Outcome = Unknown
	}
	if err := j.write(messages); err != nil {
		return err
	}
	return j.file.Sync()
}

// End notes how the messages' transaction ended.
func (j *Journal) End(outcome Outcome, messages ...Message) error {
	for i := range messages {
		messages[i].Outcome = outcome
	}
	return j.write(messages)
}

func (j *Journal) write(messages []Message) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return json.NewEncoder(j.file).Encode(messages)
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// ReadJournal returns the messages in the order in which they were begun. A last line that
// is cut short, as a crash of the producer leaves it, is left out.
func ReadJournal(r io.Reader) ([]Message, error) {
	var all []Message
	at := make(map[string]int)
	for decoder := json.NewDecoder(r); ; {
		var messages []Message
		switch err := decoder.Decode(&messages); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read a journal: %w", err)
		}
		for _, m := range messages {
			i, known := at[m.ID]
			if !known {
				at[m.ID] = len(all)
				all = append(all, m)
				continue
			}
			all[i].Outcome = m.Outcome
		}
	}
}
