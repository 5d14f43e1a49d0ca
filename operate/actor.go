package operate

// Role is what an actor may do.
type Role string

// These are the roles.
const (
	RoleViewer   Role = "viewer"   // may see
	RoleOperator Role = "operator" // may see and change
	RoleCLI      Role = "cli"      // the command line, which may do what its database role may
)

// Actor is the person or program that asks for a change, as the audit notes it.
type Actor struct {
	Name    string // as the person gave it; on the command line the user of the operating system
	Role    Role
	Address string // from which the request came; empty on the command line
	Reason  string // as the person gave it; empty: none
}
