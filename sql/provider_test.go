package sql_test

import (
	"strings"
	"testing"

	"relay/sql"
)

func TestProvidersChangeSettingsInTheirOwnWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider    sql.Provider
		name, value string
		restart     bool
		want        string
	}{
		{"", "wal_level", "logical", true, "alter system set wal_level = logical, then restart the server"},
		{"", "max_slot_wal_keep_size", "10GB", false, "alter system set max_slot_wal_keep_size = '10GB', then select pg_reload_conf()"},
		{sql.ProviderAmazon, "wal_level", "logical", true, "set rds.logical_replication = 1 in the parameter group of the instance (Aurora: of the cluster), then reboot it"},
		{sql.ProviderGoogle, "wal_level", "logical", true, "cloudsql.logical_decoding"},
		{sql.ProviderMicrosoft, "wal_level", "logical", true, "--name wal_level --value logical, then az postgres flexible-server restart"},
		{sql.ProviderSupabase, "max_wal_senders", "20", true, "postgres-config update --config max_wal_senders=20"},
	} {
		got := c.provider.MendSetting(c.name, c.value, c.restart)
		if !strings.Contains(got, c.want) || c.provider != "" && strings.Contains(got, "alter system") {
			t.Errorf("%q: %s is set by %q, want %q", c.provider, c.name, got, c.want)
		}
	}
}
