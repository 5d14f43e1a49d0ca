package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"relay"
)

// oauthPrefix begins the headers of a subscription that are settings of OAuth2, and are never sent.
const oauthPrefix = "oauth2-"

// These are the settings of OAuth2 client credentials (RFC 6749, section 4.4).
const (
	oauthTokenURL = "oauth2-token-url"
	oauthClientID = "oauth2-client-id"
	oauthSecret   = "oauth2-client-secret"
	oauthScope    = "oauth2-scope"
	oauthAudience = "oauth2-audience"
)

// maxGrants bounds the number of grants whose token is kept.
const maxGrants = 1024

// grant is what a token is asked for with. It is comparable.
type grant struct{ tokenURL, clientID, secret, scope, audience string }

// grantOf reads the settings of a subscriber. Nil means that it has none.
func grantOf(s *relay.Subscriber) (*grant, error) {
	if len(s.Headers) == 0 {
		return nil, nil
	}
	var g grant
	settings := map[string]*string{
		oauthTokenURL: &g.tokenURL, oauthClientID: &g.clientID, oauthSecret: &g.secret, oauthScope: &g.scope, oauthAudience: &g.audience,
	}
	found, authorization := false, false
	for name, value := range s.Headers {
		folded := relay.FoldHeader(name)
		authorization = authorization || folded == "authorization"
		if !strings.HasPrefix(folded, oauthPrefix) {
			continue
		}
		setting := settings[folded]
		if setting == nil {
			return nil, fmt.Errorf("header %q: the settings of OAuth2 are %s", name, strings.Join(slices.Sorted(maps.Keys(settings)), ", "))
		}
		*setting, found = value, true
	}
	switch {
	case !found:
		return nil, nil
	case g.tokenURL == "" || g.clientID == "" || g.secret == "":
		return nil, fmt.Errorf("headers: OAuth2 needs %s, %s and %s", oauthTokenURL, oauthClientID, oauthSecret)
	case authorization:
		return nil, fmt.Errorf("headers: with %s the header authorization holds the token, and cannot be set", oauthTokenURL)
	}
	return &g, nil
}

// checkGrant says what is wrong with a subscription's settings of OAuth2.
func checkGrant(s *relay.Subscriber) error {
	g, err := grantOf(s)
	if err != nil || g == nil {
		return err
	}
	if relay.Refers(g.tokenURL) {
		return nil // it is judged when it is known
	}
	_, err = g.target()
	return err
}

// target is the token endpoint.
func (g *grant) target() (relay.Target, error) {
	target, err := relay.ParseTarget(g.tokenURL)
	if err == nil && target.URL == nil {
		err = errors.New("an http:// or https:// URL is needed")
	}
	if err != nil {
		return target, fmt.Errorf("header %q: %w", oauthTokenURL, err)
	}
	return target, nil
}

// tokens keeps the token of each grant until it expires. It is safe for concurrent use.
type tokens struct {
	mu     sync.Mutex
	grants map[grant]*granted
}

// granted is a grant with its token.
type granted struct {
	config clientcredentials.Config
	turn   chan struct{} // held while a token is fetched: the others wait for it
	token  *oauth2.Token // guarded by turn
}

// of returns the place of a grant.
func (t *tokens) of(g grant) *granted {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.grants[g]; found != nil {
		return found
	}
	if t.grants == nil || len(t.grants) >= maxGrants {
		t.grants = make(map[grant]*granted)
	}
	made := &granted{turn: make(chan struct{}, 1), config: clientcredentials.Config{
		ClientID: g.clientID, ClientSecret: g.secret, TokenURL: g.tokenURL, Scopes: strings.Fields(g.scope),
	}}
	if g.audience != "" {
		made.config.EndpointParams = url.Values{"audience": {g.audience}}
	}
	t.grants[g] = made
	return made
}

// token returns a token that is valid and is not refused, the one that an endpoint has refused.
// Nil means that none was refused.
func (h *Destination) token(ctx context.Context, g *grant, refused *oauth2.Token) (*oauth2.Token, error) {
	target, err := g.target()
	if err != nil {
		return nil, err
	}
	at := h.tokens.of(*g)
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return nil, &tokenError{target: target, err: ctx.Err()}
	}
	if at.token.Valid() && (refused == nil || at.token.AccessToken != refused.AccessToken) {
		return at.token, nil
	}
	client := h.connections.client(poolKey{origin: target.Origin(), trusted: true}).HTTPClient
	token, err := at.config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return nil, &tokenError{target: target, err: err}
	}
	at.token = token
	return token, nil
}

// CheckToken asks for a token as a delivery to the subscriber would. Nil means that there is one,
// or that none is needed.
func (h *Destination) CheckToken(ctx context.Context, s *relay.Subscriber) error {
	g, err := grantOf(s)
	if err != nil || g == nil {
		return err
	}
	_, err = h.token(ctx, g, nil)
	return err
}

// withToken returns the delivery as it is sent: without the settings, and with the token.
func withToken(d *relay.Delivery, token *oauth2.Token) *relay.Delivery {
	subscriber, copied := *d.Subscriber, *d
	subscriber.Headers = map[string]string{"Authorization": token.Type() + " " + token.AccessToken}
	for name, value := range d.Subscriber.Headers {
		if !strings.HasPrefix(relay.FoldHeader(name), oauthPrefix) {
			subscriber.Headers[name] = value
		}
	}
	copied.Subscriber = &subscriber
	return &copied
}

// tokenError is why there is no token. Its text repeats nothing that the token endpoint wrote but
// the codes that RFC 6749 has for it.
type tokenError struct {
	target relay.Target
	err    error
}

// tokenCodes are the codes of RFC 6749, section 5.2.
var tokenCodes = map[string]string{
	"invalid_request":        "invalid_request: a parameter is missing or malformed",
	"invalid_client":         "invalid_client: correct oauth2-client-id and oauth2-client-secret",
	"invalid_grant":          "invalid_grant",
	"unauthorized_client":    "unauthorized_client: allow the client to use client credentials",
	"unsupported_grant_type": "unsupported_grant_type: the server does not know client credentials",
	"invalid_scope":          "invalid_scope: correct oauth2-scope",
}

// Error says what the token endpoint did.
func (e *tokenError) Error() string {
	at := "no token from " + e.target.Redacted() + ": "
	var answer *oauth2.RetrieveError
	switch {
	case errors.As(e.err, &answer) && answer.Response != nil:
		text := fmt.Sprintf("answered %d %s", answer.Response.StatusCode, http.StatusText(answer.Response.StatusCode))
		if code := tokenCodes[answer.ErrorCode]; code != "" {
			text += ", " + code
		}
		return at + text
	case isTimeout(e.err), errors.Is(e.err, context.Canceled):
		return at + "no answer in time"
	}
	f := failure{target: e.target, parent: context.Background(), attempt: context.Background(), progress: &progress{}, err: e.err}
	var wrapped *url.Error
	if !errors.As(e.err, &wrapped) {
		return at + "its answer holds no token"
	}
	return at + f.explain()
}

// Unwrap returns the error of the network or of the library.
func (e *tokenError) Unwrap() error { return e.err }
