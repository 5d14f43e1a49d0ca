package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"relay/test/harness"
)

const monitoring = "../deploy/monitoring/"

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)

// TestAlertsAreTestedAndExplained: promtool runs a case for each alert, and each links to its section of the runbook,
// which has no other sections.
func TestAlertsAreTestedAndExplained(t *testing.T) {
	t.Parallel()
	rules, cases, runbook := readText(t, monitoring+"alerts.yaml"), readText(t, monitoring+"alerts_test.yaml"), readText(t, "../docs/runbook.md")
	var sections []string
	for _, match := range alertName.FindAllStringSubmatch(rules, -1) {
		name := match[1]
		sections = append(sections, "## "+name)
		if !strings.Contains(cases, `ALERTS{alertname="`+name+`", alertstate="firing"}`) {
			t.Errorf("no case for %s", name)
		}
		_, rule, _ := strings.Cut(rules, "alert: "+name+"\n")
		rule, _, _ = strings.Cut(rule, "- alert:")
		if !strings.Contains(rule, "runbook_url: docs/runbook.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s does not link to its section of the runbook", name)
		}
	}
	if got := regexp.MustCompile(`(?m)^## .*$`).FindAllString(runbook, -1); len(sections) == 0 || !slices.Equal(got, sections) {
		t.Errorf("the runbook has the sections %v, want %v", got, sections)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestAlertsAndDashboardNameMetricsThatExist asks a relay with everything switched on.
func TestAlertsAndDashboardNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_AMQP_URL="+harness.AMQPURL(t))
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('down', '{t}', 'http://127.0.0.1:1/')")
	s.waitStatus(t, s.send(t, "topic", "'t'"), "open")
	exist := make(map[string]bool)
	for series := range s.relay.series(t) {
		name, _, _ := strings.Cut(series, "{")
		exist[name] = true
	}
	dashboard := readText(t, monitoring+"dashboard.json")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is no JSON")
	}
	named := regexp.MustCompile(`\brelay_[a-z0-9_]+`)
	for file, text := range map[string]string{"alerts.yaml": readText(t, monitoring+"alerts.yaml"), "dashboard.json": dashboard} {
		names := named.FindAllString(text, -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if !exist[name] {
				t.Errorf("%s names %s, which no relay has", file, name)
			}
		}
	}
}
