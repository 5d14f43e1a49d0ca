package throwaway

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is the system user that a server runs as. The zero value is the current user.
type account struct {
	name string
	// credential is nil where the server runs as the current user.
	credential *credential
}

// accountFor returns the current user or, for root, the system user called name.
func accountFor(name string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fmt.Errorf("servers do not run as root, and there is no system user %q to run as: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user id of %q: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("group id of %q: %w", name, err)
	}
	return account{name: name, credential: &credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// own gives the file or folder to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// write creates a file that only the account can read.
func (a account) write(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return a.own(path)
}

// tempBase returns the folder under which the account can reach folders of its own: the
// usual temporary folder, or /tmp where that is private to root or so deep that the path
// of a Unix socket in it would pass the limit of 107 bytes.
func (a account) tempBase() string {
	base := os.TempDir()
	if len(base) > 60 || a.credential != nil && !openToAll(base) {
		return "/tmp"
	}
	return base
}

// openToAll reports whether every user may pass through path and the folders above it.
func openToAll(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if parent := filepath.Dir(path); parent != path {
			path = parent
			continue
		}
		return true
	}
}
