package access

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// LinkTime is how long a link is valid that signs in once.
const LinkTime = 10 * time.Minute

// mostLinks bounds how many links may be open at once. Beyond it the oldest link ends.
const mostLinks = 16

// links are the links that were given out and not used. Only their hashes are kept.
type links struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]time.Time // until when
}

// Link returns a word that signs in one operator once, within ten minutes. It belongs behind the # of the address of
// the sign-in page, which browsers send to no server.
func (g *Guard) Link() string {
	word := rand.Text()
	g.links.add(sha256.Sum256([]byte(word)), g.now().Add(LinkTime))
	return word
}

func (l *links) add(hash [sha256.Size]byte, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[[sha256.Size]byte]time.Time)
	}
	if len(l.open) >= mostLinks {
		var first [sha256.Size]byte
		for h, t := range l.open {
			if known, ok := l.open[first]; !ok || t.Before(known) {
				first = h
			}
		}
		delete(l.open, first)
	}
	l.open[hash] = until
}

// use reports whether a word signs in, and takes it away.
func (l *links) use(word string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := sha256.Sum256([]byte(word))
	until, known := l.open[hash]
	delete(l.open, hash)
	return known && now.Before(until)
}
