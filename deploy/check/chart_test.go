package check

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// valueFiles returns the names of the files in the chart's folder ci, and the empty name for the defaults.
func valueFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("value files: %v, %v", files, err)
	}
	return append([]string{""}, files...)
}

func renderFile(t *testing.T, file string) map[string]object {
	t.Helper()
	over := make(object)
	if file != "" {
		readYAML(t, file, &over)
	}
	rendered, err := render(t, values(t, over))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return rendered
}

// dig follows names and indices into a value.
func dig(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch at := value.(type) {
		case object:
			value = at[step.(string)]
		case []any:
			value = at[step.(int)]
		default:
			t.Fatalf("nothing at %v", path)
		}
	}
	return value
}

func container(t *testing.T, rendered map[string]object) object {
	t.Helper()
	return dig(t, rendered["Deployment"], "spec", "template", "spec", "containers", 0).(object)
}

// environmentOf returns the plain variables of the container; those from secrets are empty.
func environmentOf(t *testing.T, rendered map[string]object) map[string]string {
	t.Helper()
	env := make(map[string]string)
	list, _ := container(t, rendered)["env"].([]any)
	for _, each := range list {
		value, _ := each.(object)["value"].(string)
		env[each.(object)["name"].(string)] = value
	}
	return env
}

func TestChartDefaults(t *testing.T) {
	t.Parallel()
	rendered := renderFile(t, "")
	for _, kind := range []string{"Deployment", "PodDisruptionBudget", "NetworkPolicy"} {
		if rendered[kind] == nil {
			t.Errorf("no %s", kind)
		}
	}
	if len(rendered) != 3 {
		t.Errorf("%d objects, want 3: the message centre listens on the loopback and needs no service", len(rendered))
	}
	deployment := rendered["Deployment"]
	for path, want := range map[string]any{
		"spec/replicas": 2,
		"spec/strategy/rollingUpdate/maxUnavailable":                   1,
		"spec/template/spec/terminationGracePeriodSeconds":             35,
		"spec/template/spec/securityContext/runAsUser":                 65532,
		"spec/template/spec/securityContext/runAsNonRoot":              true,
		"spec/template/spec/automountServiceAccountToken":              false,
		"spec/template/spec/volumes/0/projected/sources/0/secret/name": "relay-database",
	} {
		if got := dig(t, deployment, steps(path)...); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if env := environmentOf(t, rendered); !reflect.DeepEqual(env, map[string]string{"RELAY_DATABASE_URL_FILE": "/run/secrets/relay/RELAY_DATABASE_URL"}) {
		t.Errorf("the environment is %v", env)
	}
	confined := object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}
	if got := container(t, rendered)["securityContext"]; !reflect.DeepEqual(got, confined) {
		t.Errorf("the security context is %v", got)
	}
}

// steps splits a path into names and indices.
func steps(path string) (list []any) {
	for _, step := range strings.Split(path, "/") {
		if len(step) == 1 && step[0] >= '0' && step[0] <= '9' {
			list = append(list, int(step[0]-'0'))
		} else {
			list = append(list, step)
		}
	}
	return list
}

func TestChartWithEverything(t *testing.T) {
	t.Parallel()
	rendered := renderFile(t, filepath.Join(chart, "ci", "full-values.yaml"))
	for _, kind := range []string{"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"} {
		if rendered[kind] == nil {
			t.Errorf("no %s", kind)
		}
	}
	env := environmentOf(t, rendered)
	for name, want := range map[string]string{
		"RELAY_MAX_ATTEMPTS": "1000000", "RELAY_HIDE_PAYLOADS": "true", "RELAY_METRICS_ADDR": ":9465",
		"RELAY_AMQP_URL_FILE": "/run/secrets/relay/RELAY_AMQP_URL", "RELAY_ADMIN_TOKEN": "",
	} {
		if got, set := env[name]; !set || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	ports := dig(t, rendered["Service"], "spec", "ports").([]any)
	if len(ports) != 2 || dig(t, ports, 0, "port") != 8470 || dig(t, ports, 1, "port") != 8480 {
		t.Errorf("the service has %v", ports)
	}
	if got := dig(t, container(t, rendered), "ports", 0, "containerPort"); got != 9465 {
		t.Errorf("the metrics are at %v", got)
	}
	if got := dig(t, rendered["NetworkPolicy"], "spec", "policyTypes"); !reflect.DeepEqual(got, []any{"Ingress", "Egress"}) {
		t.Errorf("the policy is for %v", got)
	}
	if got := container(t, rendered)["image"]; !strings.HasPrefix(got.(string), "registry.example/relay@sha256:") {
		t.Errorf("the image is %v", got)
	}
}

func TestChartAsLittleAsPossible(t *testing.T) {
	t.Parallel()
	rendered := renderFile(t, filepath.Join(chart, "ci", "bare-values.yaml"))
	spec := dig(t, rendered["Deployment"], "spec", "template", "spec").(object)
	if len(rendered) != 1 || spec["volumes"] != nil || spec["topologySpreadConstraints"] != nil {
		t.Errorf("%d objects, %v", len(rendered), spec)
	}
	rendered = renderFile(t, filepath.Join(chart, "ci", "minimal-values.yaml"))
	from := dig(t, container(t, rendered), "env", 0)
	want := object{"name": "RELAY_DATABASE_URL", "valueFrom": object{"secretKeyRef": object{"name": "shop-postgres", "key": "uri"}}}
	if !reflect.DeepEqual(from, want) {
		t.Errorf("the database's URL comes from %v", from)
	}
}

// A wrong value fails with a message that names it.
func TestChartRefuses(t *testing.T) {
	t.Parallel()
	secret := object{"name": "relay", "key": "x"}
	for want, over := range map[string]object{
		"replicas":                          {"replicas": 0},
		"additional properties 'replica'":   {"replica": 3},
		"RELAY_CAPTURE":                     {"config": object{"RELAY_CAPTURE": "streams"}},
		"properties 'RELAY_CAPTUR'":         {"config": object{"RELAY_CAPTUR": "stream"}},
		"properties 'RELAY_DATABASE_URL'":   {"config": object{"RELAY_DATABASE_URL": "postgres://x"}},
		"RELAY_LEASE_TTL":                   {"config": object{"RELAY_LEASE_TTL": "10 seconds"}},
		"RELAY_MAX_ATTEMPTS":                {"config": object{"RELAY_MAX_ATTEMPTS": 0}},
		"RELAY_HTTP_SECRET":                 {"secrets": object{"RELAY_HTTP_SECRET": object{"name": "relay"}}},
		"whenUnsatisfiable":                 {"topologySpreadConstraints": []any{object{"maxSkew": 1, "topologyKey": "zone"}}},
		"repository":                        {"image": object{"repository": ""}},
		"RELAY_SHUTDOWN_GRACE is 90 second": {"config": object{"RELAY_SHUTDOWN_GRACE": "1m30s"}, "terminationGracePeriodSeconds": 90},
		"RELAY_METRICS_ADDR is off":         {"config": object{"RELAY_METRICS_ADDR": "off"}},
		"RELAY_METRICS_ADDR is a loopback":  {"config": object{"RELAY_METRICS_ADDR": "127.0.0.1:9464"}},
		"secrets.RELAY_DATABASE_URL":        {"secrets": object{"RELAY_DATABASE_URL": nil}},
		"secrets.RELAY_ADMIN_TOKEN":         {"config": object{"RELAY_ADMIN_ADDR": ":8470"}},
		"belong together":                   {"config": object{"RELAY_ACK_ADDR": ":8480"}, "secrets": object{"RELAY_HTTP_SECRET": secret}},
	} {
		if _, err := render(t, values(t, over)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", over, err, want)
		}
	}
}

// Kubernetes kills a pod no sooner than the relay may end its deliveries.
func TestChartGrace(t *testing.T) {
	t.Parallel()
	for grace, want := range map[string]int{"20s": 35, "1h2m3s": 3738, "500ms": 16, "1.5s": 17, "90m": 5415} {
		rendered, err := render(t, values(t, object{"config": object{"RELAY_SHUTDOWN_GRACE": grace}}))
		if err != nil {
			t.Fatal(err)
		}
		if got := dig(t, rendered["Deployment"], "spec", "template", "spec", "terminationGracePeriodSeconds"); got != want {
			t.Errorf("%s: %v, want %d", grace, got, want)
		}
	}
}
