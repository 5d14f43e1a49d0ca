package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the user and the group that the relay runs as. By custom it has no rights on any machine.
const user = "65532"

// rootFile is a file or, with a slash at the end of its name, a folder of the image's root.
type rootFile struct {
	name    string
	mode    int64
	content []byte
}

// rootFiles are all that the image holds: the program, authorities for TLS, and names for the user's number.
func rootFiles(program []byte) []rootFile {
	return []rootFile{
		{"etc/", 0o755, nil},
		{"etc/group", 0o644, fmt.Appendf(nil, "relay:x:%s:\n", user)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "relay:x:%[1]s:%[1]s:relay:/:/sbin/nologin\n", user)},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{"usr/", 0o755, nil},
		{"usr/bin/", 0o755, nil},
		{"usr/bin/relay", 0o755, program},
	}
}

// authorities are those that Mozilla trusts, as the module that go.mod pins has them, in PEM: with the machine's own
// the image would depend on the machine. Those that Mozilla trusts in part alone are left out, since PEM cannot say so.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return text.Bytes()
}

// packRoot returns the files as a compressed layer, and the digest of the layer before compression.
func packRoot(files []rootFile, created time.Time) (layer []byte, diff string, err error) {
	var plain, packed bytes.Buffer
	archive := tar.NewWriter(&plain)
	for _, f := range files {
		if err := addFile(archive, f, created); err != nil {
			return nil, "", err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, "", fmt.Errorf("layer: %w", err)
	}
	compressor, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, "", fmt.Errorf("layer: %w", err)
	}
	if _, err := compressor.Write(plain.Bytes()); err != nil {
		return nil, "", fmt.Errorf("compress the layer: %w", err)
	}
	if err := compressor.Close(); err != nil {
		return nil, "", fmt.Errorf("compress the layer: %w", err)
	}
	return packed.Bytes(), digestOf(plain.Bytes()), nil
}

// addFile writes a file that belongs to root, so that the relay cannot change it.
func addFile(archive *tar.Writer, f rootFile, modified time.Time) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: modified, Format: tar.FormatUSTAR}
	if f.content == nil {
		header.Typeflag = tar.TypeDir
	}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if _, err := archive.Write(f.content); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// digestOf returns the name of a content, as the specification has it.
func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
