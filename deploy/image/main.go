// Command image writes the container image of the relay as an archive in the layout of the OCI image specification 1.1,
// which podman, skopeo, docker and Kubernetes' runtimes read: an index with one image for each platform, from scratch.
// It needs no container runtime, and the same input gives the same bytes.
//
//	go run ./deploy/image -o dist/relay-image.tar -version v1.0.0 -created 2026-11-30T12:00:00Z \
//	  amd64=bin/amd64 arm64=bin/arm64
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run writes the archive that the arguments ask for, and prints the digest of its index.
func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("o", "relay-image.tar", "the archive to write")
	about := release{Version: "devel"}
	flags.StringVar(&about.Version, "version", about.Version, "version of the program, and tag of the image")
	flags.StringVar(&about.Revision, "revision", "", "commit of the program")
	flags.Func("created", "time of the commit, RFC 3339", func(text string) (err error) {
		about.Created, err = time.Parse(time.RFC3339, text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	about.Created = about.Created.UTC().Truncate(time.Second)
	if about.Created.IsZero() {
		about.Created = time.Unix(0, 0).UTC()
	}
	l := newLayout()
	digest, err := addImages(l, about, flags.Args())
	if err != nil {
		return err
	}
	if err := writeArchive(*path, l); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, digest)
	return err
}

// addImages adds an image for each argument of the form platform=program, and an index of them all.
func addImages(l *layout, about release, programs []string) (digest string, err error) {
	if len(programs) == 0 {
		return "", errors.New("name at least one program, as in amd64=bin/relay")
	}
	var images []descriptor
	for _, argument := range programs {
		architecture, path, found := strings.Cut(argument, "=")
		if !found {
			return "", fmt.Errorf("%q: write architecture=program, as in amd64=bin/relay", argument)
		}
		program, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the program for %s: %w", architecture, err)
		}
		image, err := l.addImage(about, architecture, program)
		if err != nil {
			return "", fmt.Errorf("image for %s: %w", architecture, err)
		}
		images = append(images, image)
	}
	return l.addIndex(about, images)
}

// writeArchive writes the layout to a file that is either whole or not there.
func writeArchive(path string, l *layout) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := l.write(file); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}
