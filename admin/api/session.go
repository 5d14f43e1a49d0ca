package api

import "time"

// Session is the identity in whose name the request is made.
type Session struct {
	SignedIn      bool       `json:"signed_in" doc:"The request may use the API."`
	TokenRequired bool       `json:"token_required" doc:"There are tokens: POST /signin wants one."`
	Role          string     `json:"role,omitempty" enum:"viewer,operator"`
	Name          string     `json:"name,omitempty" doc:"As the person said."`
	ExpiresAt     *time.Time `json:"expires_at,omitempty" doc:"Of a session by cookie."`
	HidePayloads  bool       `json:"hide_payloads" doc:"Payloads, headers and answers are hidden from this session."`
	Relay         string     `json:"relay,omitempty" doc:"Version of the relay. Here and below only if signed in."`
	Database      string     `json:"database,omitempty" doc:"Name of the database."`
	Environment   string     `json:"environment,omitempty" doc:"The relay's source, RELAY_SOURCE."`
}

// SignIn is what a person signs in with.
type SignIn struct {
	Token string `json:"token,omitempty" maxLength:"1024" doc:"RELAY_ADMIN_TOKEN or RELAY_VIEWER_TOKEN."`
	Once  string `json:"once,omitempty" maxLength:"256" doc:"Instead of a token: the word of a link that signs in once."`
	Name  string `json:"name,omitempty" maxLength:"64" doc:"Your name, for the audit."`
}

type signInInput struct {
	Body SignIn
}

type sessionOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Session
}

type sessionInput struct{}

// Link signs in one operator once.
type Link struct {
	Once      string    `json:"once" doc:"For POST /signin."`
	Path      string    `json:"path" doc:"Of the sign-in page. The word stands behind #, which browsers send to no server."`
	ExpiresAt time.Time `json:"expires_at"`
}

type linkInput struct {
	Body *Because
}

// Settings are values of the relay's variables that a person needs to know. There are no secrets.
type Settings struct {
	Source             string  `json:"source" doc:"RELAY_SOURCE."`
	Capture            string  `json:"capture" enum:"stream,notify,poll" doc:"RELAY_CAPTURE."`
	DefaultDestination string  `json:"default_destination,omitempty" doc:"Without what may be secret."`
	Broker             bool    `json:"broker" doc:"RELAY_AMQP_URL is set."`
	AckURL             bool    `json:"ack_url" doc:"RELAY_ACK_URL is set."`
	Signing            bool    `json:"signing" doc:"RELAY_HTTP_SECRET is set."`
	TimeoutMS          int64   `json:"timeout_ms" doc:"RELAY_HTTP_TIMEOUT."`
	Concurrency        int     `json:"concurrency" doc:"RELAY_HTTP_CONCURRENCY."`
	BackoffMS          []int64 `json:"backoff_ms" doc:"RELAY_BACKOFF."`
	MaxAttempts        int     `json:"max_attempts" doc:"RELAY_MAX_ATTEMPTS."`
	GiveUpAfterMS      int64   `json:"give_up_after_ms" doc:"RELAY_GIVE_UP_AFTER."`
	RetentionMS        int64   `json:"retention_ms" doc:"RELAY_RETENTION; 0: all is kept."`
	MaxPayload         int64   `json:"max_payload" doc:"RELAY_MAX_PAYLOAD, in bytes."`
	RowDestinations    string  `json:"row_destinations,omitempty" doc:"RELAY_ROW_DESTINATIONS."`
	HidePayloads       bool    `json:"hide_payloads" doc:"RELAY_HIDE_PAYLOADS."`
	Schema             string  `json:"schema" doc:"The schema of the tables."`
	Database           string  `json:"database" doc:"Name of the database."`
	DatabaseHost       string  `json:"database_host,omitempty" doc:"Host and port of the server, for the command to connect."`
}
