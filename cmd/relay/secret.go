package main

import (
	"errors"
	"fmt"

	"relay"
	"relay/notify/webhook"
)

// secretName is the variable of the secrets that sign.
const secretName = "RELAY_HTTP_SECRET"

// SecretCmd is `relay secret URL`.
type SecretCmd struct {
	URL string `arg:"" name:"url" help:"Where rows send to, as https://hooks.example; only scheme, host and port count."`
}

// Run prints the secrets with which a receiver at the URL checks what rows send there that
// name it as their destination: one a line for each secret of RELAY_HTTP_SECRET, newest
// first. It needs no other variable and no database.
func (c SecretCmd) Run(app *App) error {
	target, err := relay.ParseTarget(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("url: %w", err)
	case target.Kind != relay.TargetHTTP:
		return errors.New("url: an http:// or https:// URL is needed")
	}
	secrets, err := readSecrets(app.Env)
	if err != nil {
		return err
	}
	derived, err := webhook.RowSecrets(secrets, target)
	if err != nil {
		return err
	}
	for _, secret := range derived {
		if _, err := fmt.Fprintln(app.Stdout, secret); err != nil {
			return err
		}
	}
	return nil
}

// readSecrets reads the secrets that sign, from the variable or its file, and nothing else.
func readSecrets(env map[string]string) (Secrets, error) {
	src := newSource(env)
	value, _ := src.Lookup(secretName)
	if src.err != nil {
		return nil, src.err
	}
	var secrets Secrets
	var why reason
	if err := secrets.EnvDecode(value); err != nil {
		errors.As(err, &why)
		return nil, src.fault(secretName, why)
	}
	if len(secrets) == 0 {
		return nil, src.fault(secretName, "so that nothing is signed")
	}
	return secrets, nil
}
