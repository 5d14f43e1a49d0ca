package main

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"testing/fstest"
	"time"
)

func TestTheSameFilesGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	one := fstest.MapFS{"relay.exe": {Data: []byte("program"), Mode: 0o700, ModTime: time.Now()}, "LICENSE": {Data: []byte("licence")}}
	other := fstest.MapFS{"LICENSE": {Data: []byte("licence"), Mode: 0o600}, "relay.exe": {Data: []byte("program")}}
	first, err := pack(one, "relay-1", at)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pack(other, "relay-1", at)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two archives differ: %d and %d bytes, %v", len(first), len(second), err)
	}
	archive, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range archive.File {
		names = append(names, file.Name)
		if !file.Modified.Equal(at) {
			t.Errorf("%s is of %s, want %s", file.Name, file.Modified, at)
		}
	}
	if len(names) != 2 || names[0] != "relay-1/LICENSE" || names[1] != "relay-1/relay.exe" {
		t.Fatalf("files %v", names)
	}
	reader, err := archive.File[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(reader); err != nil || string(content) != "program" {
		t.Errorf("relay.exe holds %q, %v", content, err)
	}
}
