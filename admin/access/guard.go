package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Role is what a request may do.
type Role string

// These are the roles. None may do what needs no token.
const (
	None     Role = ""
	Viewer   Role = "viewer"
	Operator Role = "operator"
)

// May reports whether the role suffices where another one is needed.
func (r Role) May(needed Role) bool {
	return needed == None || r == Operator || r == needed
}

// Identity is the person or program in whose name a request is made.
type Identity struct {
	Role    Role
	Name    string // as the person said; nothing proves it
	Address string // without the port
	// Expires is when the session by cookie ends. Zero means that there is none.
	Expires time.Time
	issued  time.Time
}

// ErrToken says that a token, a link or a session is not valid, or is no longer valid.
var ErrToken = errors.New("this token is not valid")

// SlowDown says that there were too many attempts, and how long the caller has to wait before the next one.
type SlowDown struct{ After time.Duration }

// Error implements error.
func (s SlowDown) Error() string {
	return fmt.Sprintf("too many attempts: try again in %s", s.After)
}

// Guard knows the tokens. Its methods are safe for concurrent use.
type Guard struct {
	admin, viewer [sha256.Size]byte
	hasAdmin      bool
	hasViewer     bool
	key           []byte // of sessions
	brake         *brake
	links         links
	now           func() time.Time
}

// New returns a guard for two tokens. Either may be empty. If both are, every request from this
// machine is an operator's, and sessions end with the process.
func New(admin, viewer string) *Guard {
	g := &Guard{
		admin: sha256.Sum256([]byte(admin)), viewer: sha256.Sum256([]byte(viewer)),
		hasAdmin: admin != "", hasViewer: viewer != "", brake: newBrake(), now: time.Now,
	}
	if g.Open() {
		admin = rand.Text()
	}
	g.key = sessionKey(admin, viewer)
	return g
}

// Open reports whether no token is needed.
func (g *Guard) Open() bool { return !g.hasAdmin && !g.hasViewer }

// Identify returns the identity that a request has by its bearer token, else by its cookie. Without either the role
// is None, or Operator if the guard is open. The error is ErrToken or a SlowDown.
func (g *Guard) Identify(r *http.Request) (Identity, error) {
	who := Identity{Address: Address(r)}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return who, ErrToken
		}
		role, err := g.judge(strings.TrimSpace(token), who.Address)
		who.Role = role
		return who, err
	}
	if cookie, err := r.Cookie(CookieName); err == nil {
		if session, ok := g.read(cookie.Value); ok {
			session.Address = who.Address
			return session, nil
		}
	}
	if g.Open() {
		who.Role = Operator
	}
	return who, nil
}

// SignIn returns the identity that a token gives, with a session to be put into a cookie. Where no token is needed,
// the session keeps the name. The error is ErrToken or a SlowDown.
func (g *Guard) SignIn(token, name, address string) (Identity, error) {
	role := Operator
	if !g.Open() {
		var err error
		if role, err = g.judge(token, address); err != nil {
			return Identity{Address: address}, err
		}
	}
	return g.begin(role, name, address), nil
}

// SignInOnce is SignIn with the word of a link that Link made.
func (g *Guard) SignInOnce(word, name, address string) (Identity, error) {
	if wait := g.brake.ask(address, g.now()); wait > 0 {
		return Identity{Address: address}, SlowDown{wait}
	}
	if !g.links.use(word, g.now()) {
		g.brake.failed(address, g.now())
		return Identity{Address: address}, ErrToken
	}
	g.brake.succeeded(address, g.now())
	return g.begin(Operator, name, address), nil
}

// begin is an identity with a session that begins now.
func (g *Guard) begin(role Role, name, address string) Identity {
	now := g.now().Truncate(time.Second)
	return Identity{Role: role, Name: name, Address: address, Expires: now.Add(sessionTime), issued: now}
}

// judge compares a token in constant time, unless there were too many wrong ones.
func (g *Guard) judge(token, address string) (Role, error) {
	now := g.now()
	if wait := g.brake.ask(address, now); wait > 0 {
		return None, SlowDown{wait}
	}
	sum := sha256.Sum256([]byte(token))
	isAdmin := subtle.ConstantTimeCompare(sum[:], g.admin[:]) == 1 && g.hasAdmin
	isViewer := subtle.ConstantTimeCompare(sum[:], g.viewer[:]) == 1 && g.hasViewer
	switch {
	case isAdmin:
		g.brake.succeeded(address, now)
		return Operator, nil
	case isViewer:
		g.brake.succeeded(address, now)
		return Viewer, nil
	case g.Open():
		return Operator, nil // a program may send a token where none is needed
	}
	g.brake.failed(address, now)
	return None, ErrToken
}

// HostAllowed reports whether the Host header may be answered. Where no token is needed it must name this machine's
// loopback: a page of another site that had its name lead here would be an operator otherwise.
func (g *Guard) HostAllowed(r *http.Request) bool {
	if !g.Open() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Address returns the address from which a request comes, without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
