package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestTheStartIsLoggedInTheWordsOfTheManual(t *testing.T) {
	t.Parallel()
	for capture, words := range map[string]string{"stream": "by logical replication", "notify": "by a NOTIFY trigger", "poll": "by sweeps alone"} {
		c, err := ReadConfig(map[string]string{
			"RELAY_DATABASE_URL": "postgres://relay:hunter2@db:5433/shop?sslmode=disable", "RELAY_CAPTURE": capture,
			"RELAY_DEFAULT_DESTINATION": "https://u:hunter2@shop.example/in?k=hunter2", "RELAY_METRICS_ADDR": "off",
		})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		(&service{config: c, log: slog.New(slog.NewTextHandler(&b, nil))}).logStart()
		for _, want := range []string{"version=", "database=db:5433/shop ", `new_rows="` + words, "default_destination=https://shop.example/in?…", "metrics=off", "message_centre=127.0.0.1:8470", "acknowledgements=off"} {
			if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), "doorbell") {
				t.Errorf("no %q in %s", want, &b)
			}
		}
	}
}
