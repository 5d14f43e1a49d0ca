package access

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// CookieName is the cookie that holds a session.
const CookieName = "relay_session"

// sessionTime is how long a session lasts. It is renewed when half of it is gone.
const sessionTime = 12 * time.Hour

// maxName bounds the name in a session, in bytes.
const maxName = 256

// encoding is how parts of a session are written: without the point that divides them.
var encoding = base64.RawURLEncoding

// sessionKey derives the key of sessions from the tokens (RFC 5869): a token that changes ends all of them.
func sessionKey(admin, viewer string) []byte {
	secret := fmt.Sprintf("%d:%s%d:%s", len(admin), admin, len(viewer), viewer)
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "relay session v1", sha256.Size)
	if err != nil {
		panic(err) // the length is one that HKDF can give
	}
	return key
}

// write returns the value of the cookie: v1.<role>.<expiry>.<name>.<nonce>.<hmac>.
func (g *Guard) write(who Identity) string {
	name := who.Name[:min(len(who.Name), maxName)]
	text := strings.Join([]string{
		"v1", string(who.Role), strconv.FormatInt(who.Expires.Unix(), 10), encoding.EncodeToString([]byte(name)), rand.Text(),
	}, ".")
	return text + "." + encoding.EncodeToString(g.sign(text))
}

// read returns the identity of a session that this guard, or another one with the same tokens, wrote.
func (g *Guard) read(value string) (who Identity, ok bool) {
	cut := strings.LastIndexByte(value, '.')
	if cut < 0 {
		return who, false
	}
	proof, err := encoding.DecodeString(value[cut+1:])
	if err != nil || !hmac.Equal(proof, g.sign(value[:cut])) {
		return who, false
	}
	parts := strings.Split(value[:cut], ".")
	if len(parts) != 5 || parts[0] != "v1" {
		return who, false
	}
	expiry, err := strconv.ParseInt(parts[2], 10, 64)
	name, nameErr := encoding.DecodeString(parts[3])
	if err != nil || nameErr != nil {
		return who, false
	}
	who = Identity{Role: Role(parts[1]), Name: string(name), Expires: time.Unix(expiry, 0)}
	who.issued = who.Expires.Add(-sessionTime)
	return who, g.now().Before(who.Expires)
}

func (g *Guard) sign(text string) []byte {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Cookie returns the cookie of a session.
func (g *Guard) Cookie(r *http.Request, who Identity) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: g.write(who), Path: "/", MaxAge: int(who.Expires.Sub(g.now()).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r),
	}
}

// NoCookie returns the cookie that ends a session in the browser that has it.
func NoCookie(r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r),
	}
}

// Renewed returns the identity with all of its time, if half of its session is gone.
func (g *Guard) Renewed(who Identity) (Identity, bool) {
	if who.Expires.IsZero() || g.now().Sub(who.issued) < sessionTime/2 {
		return who, false
	}
	return g.begin(who.Role, who.Name, who.Address), true
}

// overTLS reports whether the browser speaks TLS, with the relay or with a proxy before it. What a client says here
// concerns its own cookie alone.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
