package sql

import (
	"fmt"
	"slices"
	"strings"
)

// Provider is a service that runs PostgreSQL for its customers, who are no superusers there:
// some rights come by membership in roles of the service, and settings are changed in its
// own way. Empty: the server is run by its user.
type Provider string

// The providers that a server is recognised as, by the roles that it has.
const (
	ProviderAmazon    Provider = "Amazon RDS or Aurora"
	ProviderGoogle    Provider = "Google Cloud SQL or AlloyDB"
	ProviderMicrosoft Provider = "Azure Database for PostgreSQL"
	ProviderSupabase  Provider = "Supabase"
)

// providerRoles are roles that only a provider's servers have. Their members may replicate
// without the attribute REPLICATION as far as the provider lets them: the server has the last
// word, as it is asked for a connection.
var providerRoles = []struct {
	name     string
	provider Provider
}{
	{"rds_replication", ProviderAmazon},
	{"cloudsqlsuperuser", ProviderGoogle},
	{"alloydbsuperuser", ProviderGoogle},
	{"azure_pg_admin", ProviderMicrosoft},
	{"supabase_admin", ProviderSupabase},
}

// SelectProviderRoles is an expression for the roles of providers that the server has, with a
// plus sign before those that the asking role is a member of. ReadProvider understands it.
const SelectProviderRoles = `
array(
	select case when pg_has_role(oid, 'member') then '+' else '' end || rolname from pg_roles
	where rolname in ('rds_replication', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin', 'supabase_admin')
	order by rolname
)`

// ReadProvider tells whose server it is, and by which of its roles the asking role may
// replicate. Both may be empty.
func ReadProvider(roles []string) (p Provider, by string) {
	for _, r := range providerRoles {
		member := slices.Contains(roles, "+"+r.name)
		if p == "" && (member || slices.Contains(roles, r.name)) {
			p = r.provider
		}
		if by == "" && member {
			by = r.name
		}
	}
	return p, by
}

// MendReplication returns what gives a role, whose name is quoted here, the right to replicate.
// by is the role of the provider that it is a member of already, although it was refused.
func (p Provider) MendReplication(role, by string) string {
	role = `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
	alter := "alter role " + role + " replication"
	switch {
	case p == ProviderAmazon && by != "":
		return p.MendSetting("wal_level", "logical", true) + "; on a server of your own: " + alter
	case p == ProviderAmazon:
		return "grant rds_replication to " + role + ", as the master user"
	case p == ProviderGoogle:
		return alter + ", as postgres or another member of cloudsqlsuperuser"
	case p == ProviderMicrosoft:
		return alter + ", as the server's administrator, who needs the attribute too from PostgreSQL 16 on"
	case p == ProviderSupabase:
		return alter + ", as postgres"
	}
	return alter
}

// MendSetting returns what changes a setting of the server. restart says that the setting
// takes effect only when the server starts again.
func (p Provider) MendSetting(name, value string, restart bool) string {
	switch p {
	case ProviderAmazon:
		return amazonSetting(name, value, restart)
	case ProviderGoogle:
		if name == "wal_level" {
			name, value = "cloudsql.logical_decoding (alloydb.logical_decoding)", "on"
		}
		return fmt.Sprintf("add %s=%s to the instance's database flags (gcloud sql instances patch INSTANCE --database-flags=…, with those that it has)", name, value)
	case ProviderMicrosoft:
		return azureSetting(name, value, restart)
	case ProviderSupabase:
		return fmt.Sprintf("supabase --experimental --project-ref REF postgres-config update --config %s=%s", name, value)
	}
	quoted := value
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		quoted = "'" + value + "'"
	}
	if restart {
		return fmt.Sprintf("alter system set %s = %s, then restart the server", name, quoted)
	}
	return fmt.Sprintf("alter system set %s = %s, then select pg_reload_conf()", name, quoted)
}

func amazonSetting(name, value string, restart bool) string {
	switch name {
	case "wal_level":
		name, value = "rds.logical_replication", "1"
	case "max_slot_wal_keep_size":
		value = "10240" // the parameter group counts megabytes
	}
	mend := fmt.Sprintf("set %s = %s in the parameter group of the instance (Aurora: of the cluster)", name, value)
	if restart {
		mend += ", then reboot it"
	}
	return mend
}

func azureSetting(name, value string, restart bool) string {
	if name == "max_slot_wal_keep_size" {
		return "the service keeps this setting at no limit: alert on the server's storage, and drop slots that have no reader"
	}
	mend := fmt.Sprintf("az postgres flexible-server parameter set --resource-group GROUP --server-name SERVER --name %s --value %s", name, value)
	if restart {
		mend += ", then az postgres flexible-server restart"
	}
	return mend
}
