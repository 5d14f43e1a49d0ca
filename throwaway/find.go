package throwaway

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// Oldest and newest PostgreSQL versions that the relay supports and FindPostgres looks for.
const (
	OldestPostgres = 15
	NewestPostgres = 18
)

// FindPostgres returns the folder of a PostgreSQL server's binaries: of the given major
// version, 15 to 18, or for 0 of the newest that is installed. Packages of the
// distribution come first, then the folder where scripts/install-test puts the versions
// that the distribution does not have. The error names the command that installs it.
func FindPostgres(major int) (binDir string, err error) {
	if major != 0 {
		for _, dir := range postgresFolders(major) {
			if hasServer(dir) {
				return dir, nil
			}
		}
		return "", fmt.Errorf("no PostgreSQL %d server on this machine; scripts/install-test installs it", major)
	}
	for m := NewestPostgres; m >= OldestPostgres; m-- {
		for _, dir := range postgresFolders(m) {
			if hasServer(dir) {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("no PostgreSQL server, %d to %d, on this machine; scripts/install-demo installs one", OldestPostgres, NewestPostgres)
}

// postgresFolders returns where the binaries of a major version may be, the best first.
func postgresFolders(major int) []string {
	m := strconv.Itoa(major)
	dirs := []string{
		"/usr/lib/postgresql/" + m + "/bin", // Debian, Ubuntu
		"/usr/pgsql-" + m + "/bin",          // PostgreSQL's own packages for Red Hat's family
		"/opt/homebrew/opt/postgresql@" + m + "/bin",
		"/usr/local/opt/postgresql@" + m + "/bin",
	}
	if dir := postgresInPath(); dir != "" && majorOf(dir) == major {
		dirs = append(dirs, dir)
	}
	for _, cache := range cacheFolders() {
		dirs = append(dirs, filepath.Join(cache, "postgresql", m, "bin"))
	}
	return dirs
}

// cacheFolders returns where scripts/install-test puts what no distribution has. Root's
// is readable by every user; a user's own is not by the account that root's servers run as.
func cacheFolders() []string {
	dirs := []string{"/var/cache/relay"}
	if os.Geteuid() == 0 {
		return dirs
	}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "relay"))
	}
	return dirs
}

// postgresInPath returns the folder that the postgres binary of PATH really lies in, or "".
func postgresInPath() string {
	path, err := exec.LookPath("postgres")
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return filepath.Dir(path)
}

// hasServer reports whether dir holds what starting a server needs.
func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode().Perm()&0o111 == 0 {
			return false
		}
	}
	return true
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorOf asks the binary in dir for its major version; 0 if it does not say.
func majorOf(dir string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return 0
	}
	major, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return 0
	}
	return major
}
