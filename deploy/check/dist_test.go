package check

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// one returns the path of the one file in dist that the pattern matches.
func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(*dist, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; run make package first", pattern, found, err)
	}
	return found[0]
}

// contents returns the files of a compressed archive, and checks that they are root's and have one time.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	files := make(map[string]string)
	reader := tar.NewReader(plain)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Mode&0o022 != 0 {
			t.Errorf("%s: %s belongs to %d (%s), mode %o", path, header.Name, header.Uid, header.Uname, header.Mode)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
}

// unzipped returns the files of an archive for Windows.
func unzipped(t *testing.T, path string) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer archive.Close()
	files := make(map[string]string)
	for _, file := range archive.File {
		text, err := fs.ReadFile(archive, file.Name)
		if err != nil {
			t.Fatal(err)
		}
		files[file.Name] = string(text)
	}
	return files
}

// The checksums name every file, and are right.
func TestChecksums(t *testing.T) {
	if *dist == "" {
		return
	}
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = *dist
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	files, err := os.ReadDir(*dist)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !file.IsDir() && file.Name() != "SHA256SUMS" && !strings.Contains(string(out), file.Name()+": OK") {
			t.Errorf("SHA256SUMS does not name %s", file.Name())
		}
	}
}

func TestArchives(t *testing.T) {
	if *dist == "" {
		return
	}
	found, err := filepath.Glob(filepath.Join(*dist, "relay-*-*.tar.gz"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	zipped, err := filepath.Glob(filepath.Join(*dist, "relay-*-windows-*.zip"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range zipped {
		folder, files := strings.TrimSuffix(filepath.Base(path), ".zip")+"/", unzipped(t, path)
		for _, name := range []string{"relay.exe", "LICENSE", "README.md", "CHANGELOG.md"} {
			if files[folder+name] == "" {
				t.Errorf("%s has no %s", path, name)
			}
		}
	}
	for _, path := range found {
		folder := strings.TrimSuffix(filepath.Base(path), ".tar.gz") + "/"
		want := []string{"relay", "LICENSE", "README.md", "CHANGELOG.md"}
		if strings.Contains(folder, "-linux-") {
			want = append(want, "relay.service", "relay.env")
		}
		files := contents(t, path)
		for _, name := range want {
			if files[folder+name] == "" {
				t.Errorf("%s has no %s", path, name)
			}
		}
	}
}

func TestChartIsPacked(t *testing.T) {
	if *dist == "" {
		return
	}
	path := one(t, "relay-*.chart.tgz")
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "relay-"), ".chart.tgz")
	files := contents(t, path)
	about := files["relay/Chart.yaml"]
	for _, line := range []string{"version: " + version + "\n", "appVersion: " + version + "\n"} {
		if !strings.Contains(about, "\n"+line) {
			t.Errorf("Chart.yaml has no line %q:\n%s", line, about)
		}
	}
	for _, name := range []string{"relay/values.yaml", "relay/values.schema.json", "relay/templates/deployment.yaml"} {
		if files[name] == "" {
			t.Errorf("the chart has no %s", name)
		}
	}
}

func TestBillOfMaterials(t *testing.T) {
	if *dist == "" {
		return
	}
	text, err := os.ReadFile(one(t, "relay-*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		BomFormat, SpecVersion string
		Components             []struct {
			Name, Version string
			Licenses      []any
		}
	}
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BomFormat != "CycloneDX" || len(bill.Components) < 20 {
		t.Errorf("%s %s with %d components", bill.BomFormat, bill.SpecVersion, len(bill.Components))
	}
	released := regexp.MustCompile(`^v\d`)
	for _, c := range bill.Components {
		if c.Name == "github.com/jackc/pgx/v5" && released.MatchString(c.Version) && len(c.Licenses) > 0 {
			return
		}
	}
	t.Error("the bill does not name the version and the licence of pgx")
}
