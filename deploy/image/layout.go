package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Media types of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// release is what the image says of the program that it holds.
type release struct {
	Version  string
	Revision string // empty: not said
	Created  time.Time
}

// annotations are the pre-defined ones of the specification.
func (r release) annotations() map[string]string {
	text := map[string]string{
		"org.opencontainers.image.title":       "relay",
		"org.opencontainers.image.description": "Delivers the rows of PostgreSQL's transactional outbox to HTTP endpoints and RabbitMQ.",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     r.Version,
		"org.opencontainers.image.created":     r.Created.Format(time.RFC3339),
	}
	if r.Revision != "" {
		text["org.opencontainers.image.revision"] = r.Revision
	}
	return text
}

// descriptor refers to a blob of the layout.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// platform is what an image runs on.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

func platformOf(architecture string) *platform {
	p := &platform{Architecture: architecture, OS: "linux"}
	if architecture == "arm64" {
		p.Variant = "v8"
	}
	return p
}

// config is an image's configuration: how a container of it starts.
type config struct {
	platform
	Created string   `json:"created"`
	Config  settings `json:"config"`
	RootFS  rootFS   `json:"rootfs"`
	History []step   `json:"history"`
}

type settings struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	ExposedPorts map[string]struct{}
	Labels       map[string]string
	StopSignal   string
}

type rootFS struct {
	Type  string   `json:"type"`
	Diffs []string `json:"diff_ids"`
}

type step struct {
	Created string `json:"created"`
	By      string `json:"created_by"`
}

// manifest joins a configuration and its layers; index joins images of several platforms.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations"`
}

type index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// layout is an image layout in memory.
type layout struct {
	blobs map[string][]byte // by digest
	index index             // of the layout itself, with one entry
}

func newLayout() *layout { return &layout{blobs: make(map[string][]byte)} }

// add keeps a blob and returns what refers to it.
func (l *layout) add(mediaType string, content []byte) descriptor {
	digest := digestOf(content)
	l.blobs[digest] = content
	return descriptor{MediaType: mediaType, Digest: digest, Size: len(content)}
}

func (l *layout) addJSON(mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, fmt.Errorf("%s: %w", mediaType, err)
	}
	return l.add(mediaType, content), nil
}

// addImage adds the image of one platform.
func (l *layout) addImage(about release, architecture string, program []byte) (descriptor, error) {
	layer, diff, err := packRoot(rootFiles(program), about.Created)
	if err != nil {
		return descriptor{}, err
	}
	created := about.Created.Format(time.RFC3339)
	described, err := l.addJSON(typeConfig, config{
		platform: *platformOf(architecture),
		Created:  created,
		Config: settings{
			User:         user + ":" + user,
			Env:          []string{"PATH=/usr/bin"},
			Entrypoint:   []string{"/usr/bin/relay"},
			Cmd:          []string{"run"},
			ExposedPorts: map[string]struct{}{"9464/tcp": {}},
			Labels:       about.annotations(),
			StopSignal:   "SIGTERM",
		},
		RootFS:  rootFS{"layers", []string{diff}},
		History: []step{{created, "relay/deploy/image"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	image, err := l.addJSON(typeManifest, manifest{
		SchemaVersion: 2, MediaType: typeManifest, Config: described,
		Layers: []descriptor{l.add(typeLayer, layer)}, Annotations: about.annotations(),
	})
	image.Platform = platformOf(architecture)
	return image, err
}

// addIndex adds the index of all images under the version's tag, and returns its digest.
func (l *layout) addIndex(about release, images []descriptor) (digest string, err error) {
	all, err := l.addJSON(typeIndex, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: images, Annotations: about.annotations()})
	if err != nil {
		return "", err
	}
	all.Annotations = map[string]string{"org.opencontainers.image.ref.name": strings.TrimPrefix(about.Version, "v")}
	l.index = index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{all}}
	return all.Digest, nil
}

// write writes the layout as a tar archive, its files sorted by name.
func (l *layout) write(w io.Writer) error {
	names, err := json.Marshal(l.index)
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	files := []rootFile{
		{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", 0o644, names},
		{"blobs/", 0o755, nil},
		{"blobs/sha256/", 0o755, nil},
	}
	for _, digest := range slices.Sorted(maps.Keys(l.blobs)) {
		files = append(files, rootFile{"blobs/" + strings.Replace(digest, ":", "/", 1), 0o644, l.blobs[digest]})
	}
	archive := tar.NewWriter(w)
	for _, f := range files {
		if err := addFile(archive, f, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return archive.Close()
}
