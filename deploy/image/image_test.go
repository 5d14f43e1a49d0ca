package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// makeImage writes an image for two platforms and returns the archive's bytes and the digest that was printed.
func makeImage(t *testing.T) (archive []byte, digest string) {
	t.Helper()
	dir := t.TempDir()
	program, path := filepath.Join(dir, "program"), filepath.Join(dir, "image.tar")
	if err := os.WriteFile(program, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	args := []string{"-o", path, "-version", "v1.2.3", "-revision", "abc", "-created", "2026-11-30T12:00:00+01:00", "amd64=" + program, "arm64=" + program}
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return archive, strings.TrimSpace(out.String())
}

// entry is a file of an archive.
type entry struct {
	header  *tar.Header
	content []byte
}

func unpack(t *testing.T, archive io.Reader) map[string]entry {
	t.Helper()
	files := make(map[string]entry)
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = entry{header, content}
	}
}

// read reads the JSON of a blob, and checks its size and digest.
func read(t *testing.T, files map[string]entry, d descriptor, into any) []byte {
	t.Helper()
	blob := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)].content
	if len(blob) != d.Size || digestOf(blob) != d.Digest {
		t.Fatalf("%s: %d bytes with digest %s, want %d bytes", d.Digest, len(blob), digestOf(blob), d.Size)
	}
	if into != nil {
		if err := json.Unmarshal(blob, into); err != nil {
			t.Fatal(err)
		}
	}
	return blob
}

// Two builds of the same program give the same bytes.
func TestImageIsReproducible(t *testing.T) {
	t.Parallel()
	first, digest := makeImage(t)
	second, same := makeImage(t)
	if !bytes.Equal(first, second) || digest != same || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("two builds differ: %s, %s", digest, same)
	}
}

func TestImageIsAnIndexOfPlatforms(t *testing.T) {
	t.Parallel()
	archive, digest := makeImage(t)
	files := unpack(t, bytes.NewReader(archive))
	var top, all index
	if err := json.Unmarshal(files["index.json"].content, &top); err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Digest != digest || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.3" {
		t.Errorf("index.json is %+v, want one entry %s", top, digest)
	}
	read(t, files, top.Manifests[0], &all)
	for i, architecture := range []string{"amd64", "arm64"} {
		image := all.Manifests[i]
		if image.Platform.Architecture != architecture || image.Platform.OS != "linux" {
			t.Errorf("image %d is for %+v, want %s", i, image.Platform, architecture)
		}
		checkImage(t, files, image)
	}
}

// checkImage checks what a container runtime relies on.
func checkImage(t *testing.T, files map[string]entry, image descriptor) {
	t.Helper()
	var m manifest
	var c config
	read(t, files, image, &m)
	read(t, files, m.Config, &c)
	if c.Config.User != "65532:65532" || c.Config.Entrypoint[0] != "/usr/bin/relay" || c.Architecture != image.Platform.Architecture {
		t.Errorf("the configuration is %+v", c)
	}
	if c.Created != "2026-11-30T11:00:00Z" || c.Config.Labels["org.opencontainers.image.revision"] != "abc" {
		t.Errorf("created %s, labels %v", c.Created, c.Config.Labels)
	}
	layer, err := gzip.NewReader(bytes.NewReader(read(t, files, m.Layers[0], nil)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(layer)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.RootFS.Diffs) != 1 || c.RootFS.Diffs[0] != digestOf(plain) {
		t.Errorf("the layer's digest is %s, the configuration says %v", digestOf(plain), c.RootFS.Diffs)
	}
	checkRoot(t, unpack(t, bytes.NewReader(plain)))
}

// checkRoot checks that the relay owns nothing, and that its TLS has authorities.
func checkRoot(t *testing.T, root map[string]entry) {
	t.Helper()
	for name, file := range root {
		if file.header.Uid != 0 || file.header.Mode&0o022 != 0 {
			t.Errorf("%s belongs to %d with mode %o: the relay could change it", name, file.header.Uid, file.header.Mode)
		}
	}
	if program := root["usr/bin/relay"]; string(program.content) != "the program" || program.header.Mode != 0o755 {
		t.Errorf("the program has mode %o and %d bytes", program.header.Mode, len(program.content))
	}
	if !x509.NewCertPool().AppendCertsFromPEM(root["etc/ssl/certs/ca-certificates.crt"].content) {
		t.Error("the image holds no authorities")
	}
	if n := bytes.Count(root["etc/ssl/certs/ca-certificates.crt"].content, []byte("BEGIN CERTIFICATE")); n < 100 {
		t.Errorf("the image holds %d authorities, want at least 100", n)
	}
}

func TestImageRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image.tar")
	for want, args := range map[string][]string{
		"at least one program":         {"-o", path},
		"write architecture=program":   {"-o", path, "bin/relay"},
		"read the program for amd64":   {"-o", path, "amd64=/does/not/exist"},
		"invalid value":                {"-created", "yesterday", "amd64=x"},
		"no such file or directory":    {"-o", "/does/not/exist/image.tar", "amd64=" + os.Args[0]},
		"flag provided but not define": {"-x"},
	} {
		var out bytes.Buffer
		if err := run(args, &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%v: %v, printed %q; want an error with %q", args, err, &out, want)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a failed build left an archive: %v", err)
	}
}
