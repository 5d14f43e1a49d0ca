package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// VersionCmd is `relay version`.
type VersionCmd struct{ JSON bool }

func (c *VersionCmd) command() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of this program.", Args: exactly(), Example: "  relay version --json"}
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run prints what is known of this program's build.
func (c *VersionCmd) Run(_ context.Context, app *App) error {
	b := readBuild()
	if c.JSON {
		return json.NewEncoder(app.Stdout).Encode(b)
	}
	_, err := fmt.Fprintln(app.Stdout, b)
	return err
}

// build is what the Go toolchain stamped into this program.
type build struct {
	Version  string `json:"version"`            // (devel): not built from a tagged or committed state
	Revision string `json:"revision,omitempty"` // of the version control system
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Modified bool   `json:"modified"`           // built from a tree that differs from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version returns the version alone, as leases and metrics show it.
func version() string { return readBuild().Version }

func readBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the build on one line.
func (b build) String() string {
	parts := []string{"relay", b.Version}
	if b.Revision != "" {
		parts = append(parts, "revision", b.Revision)
	}
	if b.Modified {
		parts = append(parts, "(modified)")
	}
	return strings.Join(append(parts, b.Go, b.Platform), " ")
}
