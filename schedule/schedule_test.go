package schedule

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"relay"
)

// shardsFrom lists the shards from first to last.
func shardsFrom(first, last int16) []int16 {
	var shards []int16
	for s := first; s <= last; s++ {
		shards = append(shards, s)
	}
	return shards
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []Group
	}{
		"default": {"0-63 every 5s limit 500",
			[]Group{{Shards: shardsFrom(0, 63), Every: 5 * time.Second, Limit: 500}}},
		"delay and cron with seconds": {"0-15 every 1s limit 500; 16-63 cron */30 * * * * * limit 1000",
			[]Group{
				{Shards: shardsFrom(0, 15), Every: time.Second, Limit: 500},
				{Shards: shardsFrom(16, 63), Cron: "*/30 * * * * *", Limit: 1000},
			}},
		"five fields, no limit": {"0-63 cron 0,30 8-18 * * MON-FRI",
			[]Group{{Shards: shardsFrom(0, 63), Cron: "0,30 8-18 * * MON-FRI", Limit: DefaultLimit}}},
		"list of shards in any order": {"32,0-15 every 500ms; 16-31,33-63 every 1m limit 1",
			[]Group{
				{Shards: append(shardsFrom(0, 15), 32), Every: 500 * time.Millisecond, Limit: DefaultLimit},
				{Shards: append(shardsFrom(16, 31), shardsFrom(33, 63)...), Every: time.Minute, Limit: 1},
			}},
		"white space": {"\t0-63   every  1m30s\n limit 10000 ",
			[]Group{{Shards: shardsFrom(0, 63), Every: 90 * time.Second, Limit: MaxLimit}}},
		"29 February": {"0-63 cron 0 0 29 2 *",
			[]Group{{Shards: shardsFrom(0, 63), Cron: "0 0 29 2 *", Limit: DefaultLimit}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.in)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":                {"", "group 1: "},
		"semicolon at the end": {"0-63 every 5s;", "group 2: "},
		"no words":             {"0-63", "'<shards> every <delay>'"},
		"other word":           {"0-63 each 5s", `"each" after the shards`},
		"shard missing":        {"0-30 every 5s; 32-63 every 5s", "shard 31 stands in no group"},
		"shard twice":          {"0-31 every 5s; 31-63 every 5s", "shard 31 stands in group 1 and in group 2"},
		"shard listed twice":   {"0-63,7 every 5s", "shard 7 is listed twice"},
		"shard 64":             {"0-64 every 5s", `shard "64" is not a number from 0 to 63`},
		"negative shard":       {"-1-63 every 5s", `shard "" is not a number`},
		"signed shard":         {"+0-63 every 5s", `shard "+0" is not a number`},
		"shards backwards":     {"63-0 every 5s", `shards "63-0" run backwards`},
		"empty item":           {"0-63, every 5s", `shard "" is not a number`},
		"delay without unit":   {"0-63 every 5", `every "5" is not a delay`},
		"delay of zero":        {"0-63 every 0s", `every "0s" is not a delay`},
		"negative delay":       {"0-63 every -5s", `every "-5s" is not a delay`},
		"delay too short":      {"0-63 every 9ms", "at least 10ms"},
		"two delays":           {"0-63 every 5s 6s", `every "5s 6s" is not a delay`},
		"limit of zero":        {"0-63 every 5s limit 0", `limit "0" is not a number from 1 to 10000`},
		"limit too large":      {"0-63 every 5s limit 10001", "from 1 to 10000"},
		"limit without value":  {"0-63 every 5s limit", "is not a delay"},
		"cron of four fields":  {"0-63 cron * * * *", "cron line of 4 fields"},
		"cron of seven":        {"0-63 cron * * * * * * *", "cron line of 7 fields"},
		"cron out of range":    {"0-63 cron 61 * * * * *", `cron field "61"`},
		"cron list":            {"0-63 cron * 0,99 * * * *", `cron field "0,99"`},
		"cron step of zero":    {"0-63 cron */0 * * * * *", `cron field "*/0"`},
		"cron year":            {"0-63 cron * * * * * 2030", `cron field "2030"`},
		"cron never":           {"0-63 cron 0 0 30 2 *", "never comes due"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %v, want an error", tt.in, got)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Parse(%q): %q, want one line with %q", tt.in, err, tt.want)
			}
		})
	}
}

func TestGroupNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 10, 500e6, time.UTC) // a Monday
	tests := map[string]struct {
		group Group
		want  time.Time
	}{
		"delay":          {Group{Every: 5 * time.Second}, now.Add(5 * time.Second)},
		"every second":   {Group{Cron: "* * * * * *"}, time.Date(2026, 3, 2, 12, 0, 11, 0, time.UTC)},
		"half a minute":  {Group{Cron: "*/30 * * * * *"}, time.Date(2026, 3, 2, 12, 0, 30, 0, time.UTC)},
		"five fields":    {Group{Cron: "* * * * *"}, time.Date(2026, 3, 2, 12, 1, 0, 0, time.UTC)},
		"tomorrow night": {Group{Cron: "30 2 * * *"}, time.Date(2026, 3, 3, 2, 30, 0, 0, time.UTC)},
		"on Sunday":      {Group{Cron: "0 0 * * SUN"}, time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)},
		"29 February":    {Group{Cron: "0 0 29 2 *"}, time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.group.Next(now); !got.Equal(tt.want) {
				t.Errorf("%v after %v: %v, want %v", tt.group, now, got, tt.want)
			}
		})
	}
}

// FuzzParse checks that what is accepted covers each shard once, can be printed
// and read again, and that its sweeps always lie ahead.
func FuzzParse(f *testing.F) {
	f.Add("0-63 every 5s limit 500")
	f.Add("0-15 every 1s limit 500; 16-63 cron */30 * * * * * limit 1000")
	f.Add("0-15,32 every 1s;16-31,33-63 cron 0 0 1 1 SUN-MON")
	f.Add("0-63 cron 0 0 L * 5#2")
	now := time.Date(2026, 10, 25, 0, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		groups, err := Parse(s)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		var texts []string
		count := 0
		for _, g := range groups {
			if next := g.Next(now); !next.After(now) {
				t.Errorf("%v: the next sweep is at %v, not after %v", g, next, now)
			}
			texts = append(texts, g.String())
			count += len(g.Shards)
		}
		if count != relay.Shards {
			t.Errorf("%d shards in %v", count, groups)
		}
		again, err := Parse(strings.Join(texts, "; "))
		if err != nil || !reflect.DeepEqual(again, groups) {
			t.Errorf("%v, printed and read again: %v, %v", groups, again, err)
		}
	})
}
