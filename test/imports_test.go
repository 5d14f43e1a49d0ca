package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows holds, for each package of this module, which others it may import outside of its tests. They point one
// way: cmd/relay → admin → operate and cmd/relay → {cdc, notify, reconcile, operate} → sql → root. What the engine
// wires stands between reconcile and sql. If you add a package, decide here where it stands.
var arrows = map[string][]string{
	"relay":               nil, // the vocabulary
	"relay/crash":         nil, // marks at which tests kill the relay; nothing in ordinary builds
	"relay/sql":           {"relay", "relay/crash"},
	"relay/operate":       {"relay", "relay/sql"},
	"relay/admin":         {"relay", "relay/sql", "relay/operate"},
	"relay/admin/access":  nil,
	"relay/admin/console": nil, // the pages; they know what the API tells them
	"relay/admin/api":     {"relay", "relay/sql", "relay/operate", "relay/admin/access"},
	"relay/cdc":           {"relay", "relay/crash", "relay/sql"},
	"relay/notify":        {"relay", "relay/crash", "relay/sql", "relay/wait"},
	"relay/tracing":       {"relay"},
	"relay/reconcile": {
		"relay", "relay/crash", "relay/sql", "relay/reconcile/machine", "relay/retry", "relay/schedule", "relay/quarantine", "relay/pulse", "relay/jobs",
		"relay/retention", "relay/lease", "relay/notice", "relay/trouble", "relay/wait",
	},
	"relay/throwaway":     nil, // servers for the demo and the tests; knows nothing of the product
	"relay/demo":          {"relay", "relay/throwaway"},
	"relay/deploy/zip":    nil, // writes zip archives; knows nothing of the product
	"relay/deploy/image":  nil, // writes the container image; knows nothing of the product
	"relay/cmd/relay":     {"relay", "relay/sql", "relay/operate", "relay/admin", "relay/admin/access", "relay/admin/api", "relay/admin/console", "relay/cdc", "relay/notify", "relay/notify/amqp", "relay/notify/webhook", "relay/reconcile", "relay/retry", "relay/schedule", "relay/tracing", "relay/demo", "relay/throwaway"},
	"relay/test":          nil,
	"relay/test/harness":  {"relay/throwaway"},
	"relay/test/migrated": {"relay/sql", "relay/test/harness"},
	"relay/test/bench": { // routing is measured alone, too, and so are the console's pages
		"relay", "relay/admin", "relay/admin/access", "relay/admin/api", "relay/admin/console", "relay/notify", "relay/notify/amqp", "relay/notify/webhook",
		"relay/operate", "relay/sql", "relay/throwaway",
	},
	"relay/test/checker":   nil,
	"relay/examples":       nil,
	"relay/examples/go/..": nil, // they are copied, so they stand alone

	// One package for each technology by which messages travel. Routing and dispatching know them by
	// what cmd/relay registers, and they do not know each other.
	"relay/notify/webhook":     {"relay", "relay/crash", "relay/notify", "relay/sql"},
	"relay/notify/amqp":        {"relay", "relay/crash", "relay/notify", "relay/wait"},
	"relay/notify/conformance": {"relay", "relay/notify"}, // the suite that each of them passes; for tests alone

	// What the engine decides, apart from what it does; the simulation is for tests alone.
	"relay/retry":              {"relay"},
	"relay/schedule":           {"relay"},
	"relay/reconcile/machine":  {"relay", "relay/retry"},
	"relay/reconcile/simulate": {"relay", "relay/reconcile/machine", "relay/retry"},

	// What the engine wires, each with a purpose of its own. They do not know the engine, nor the machine.
	"relay/wait":       nil,
	"relay/trouble":    {"relay/sql"},
	"relay/quarantine": {"relay", "relay/sql", "relay/trouble", "relay/wait"},
	"relay/pulse":      {"relay", "relay/sql", "relay/trouble", "relay/wait"},
	"relay/retention":  {"relay", "relay/sql", "relay/quarantine", "relay/trouble", "relay/wait"},
	"relay/lease":      {"relay", "relay/crash", "relay/sql", "relay/trouble", "relay/wait"},
	"relay/notice":     {"relay", "relay/sql", "relay/trouble", "relay/wait"},
	"relay/jobs":       {"relay", "relay/sql", "relay/quarantine", "relay/trouble", "relay/wait"},
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string // outside of tests
}

// TestImportDirections holds the packages to arrows, and the root package to the standard
// library.
func TestImportDirections(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t, "relay/...") {
		allowed, known := arrows[p.ImportPath]
		if strings.HasPrefix(p.ImportPath, "relay/examples/go/") {
			allowed, known = arrows["relay/examples/go/.."]
		}
		switch {
		case strings.Contains(p.ImportPath, "/testdata/"):
			continue
		case !known:
			t.Errorf("package %s stands nowhere in arrows", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			switch {
			case ours(imported) && !slices.Contains(allowed, imported):
				t.Errorf("%s imports %s; it may import %v", p.ImportPath, imported, allowed)
			case p.ImportPath == "relay" && !ours(imported) && !standard(imported):
				t.Errorf("the root package imports %s; it may import the standard library alone", imported)
			}
		}
	}
}

// TestThrowawayStandsAlone checks that the package that starts servers, its tests included,
// depends on no other of ours.
func TestThrowawayStandsAlone(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t, "-deps", "-test", "relay/throwaway") {
		if name, _, _ := strings.Cut(p.ImportPath, " "); ours(name) && !strings.HasPrefix(name, "relay/throwaway") {
			t.Errorf("relay/throwaway depends on %s", p.ImportPath)
		}
	}
}

func ours(path string) bool { return path == "relay" || strings.HasPrefix(path, "relay/") }

// standard reports whether a package that is not ours is the standard library's: its first
// element is no host name.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func listPackages(t *testing.T, args ...string) (packages []goPackage) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
