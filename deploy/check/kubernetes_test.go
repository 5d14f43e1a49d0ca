package check

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dist is the folder that scripts/package wrote. The tests that need it, or tools that take minutes to build, pass at
// once where it is not given.
var dist = flag.String("dist", "", "folder that scripts/package wrote; empty: what is packed is not tested")

// The tools and sources of the tests of the chart, each a Go module.
const (
	helmTool        = "helm.sh/helm/v3/cmd/helm@v3.22.0"
	kubeconformTool = "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0"
	kubernetes      = "k8s.io/kubernetes@" + kubeVersion
	kubeVersion     = "v1.37.2"
	operator        = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// tool runs a command of a Go module and returns what it prints.
func tool(t *testing.T, input []byte, module string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "-trimpath", module}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// download returns the folder of a Go module.
func download(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	var got struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		t.Fatalf("download %s: %v\n%s", module, err, out)
	}
	return got.Dir
}

// kinds are the objects of the chart: how Kubernetes' OpenAPI document names them, and the file that kubeconform reads.
var kinds = map[string]string{
	"io.k8s.api.apps.v1.Deployment":            "deployment-apps-v1.json",
	"io.k8s.api.core.v1.Service":               "service-v1.json",
	"io.k8s.api.core.v1.ServiceAccount":        "serviceaccount-v1.json",
	"io.k8s.api.policy.v1.PodDisruptionBudget": "poddisruptionbudget-policy-v1.json",
	"io.k8s.api.networking.v1.NetworkPolicy":   "networkpolicy-networking-v1.json",
}

// writeSchemas writes strict schemas of the chart's objects for kubeconform, whose own download needs a network.
func writeSchemas(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text, err := os.ReadFile(filepath.Join(download(t, kubernetes), "api", "openapi-spec", "swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document object
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	definitions := document["definitions"].(object)
	for _, definition := range definitions {
		makeStrict(definition)
	}
	for name, file := range kinds {
		writeJSON(t, filepath.Join(dir, file), object{"definitions": definitions, "$ref": "#/definitions/" + name})
	}
	crd := make(object)
	readYAML(t, filepath.Join(download(t, operator), "example", "prometheus-operator-crd", "monitoring.coreos.com_podmonitors.yaml"), &crd)
	schema := dig(t, crd, "spec", "versions", 0, "schema", "openAPIV3Schema")
	makeStrict(schema)
	writeJSON(t, filepath.Join(dir, "podmonitor-monitoring-v1.json"), schema)
	return dir
}

// makeStrict refuses fields that a schema does not name, and lets what may be a number or a text be both.
func makeStrict(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, each := range s {
			makeStrict(each)
		}
	case object:
		if _, open := s["additionalProperties"]; s["properties"] != nil && !open {
			s["additionalProperties"] = s["x-kubernetes-preserve-unknown-fields"] == true
		}
		if s["format"] == "int-or-string" || s["x-kubernetes-int-or-string"] == true {
			delete(s, "format")
			s["type"] = []any{"string", "integer"}
		}
		for _, each := range s {
			makeStrict(each)
		}
	}
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// conform has kubeconform judge documents of YAML.
func conform(t *testing.T, schemas string, documents []byte) (string, error) {
	t.Helper()
	return tool(t, documents, kubeconformTool, "-strict", "-summary", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", "-")
}

// TestChartConforms has kubeconform judge what the templates give, by the schemas of Kubernetes and of the Prometheus
// operator, offline.
func TestChartConforms(t *testing.T) {
	if *dist == "" {
		return
	}
	schemas := writeSchemas(t)
	var last []byte
	for _, file := range valueFiles(t) {
		var documents bytes.Buffer
		for _, document := range renderFile(t, file) {
			text, err := json.Marshal(document) // which is YAML too
			if err != nil {
				t.Fatal(err)
			}
			documents.WriteString("---\n" + string(text) + "\n")
		}
		if out, err := conform(t, schemas, documents.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		last = documents.Bytes()
	}
	// The schemas are strict: what is misspelt is found.
	bad := bytes.Replace(last, []byte(`"replicas"`), []byte(`"replica"`), 1)
	if out, err := conform(t, schemas, bad); err == nil || !strings.Contains(out, "replica") {
		t.Errorf("a misspelt field passes: %v\n%s", err, out)
	}
}

// TestChartWithHelm has helm itself lint and render the chart, and kubeconform judge what it renders. Without a cluster
// helm takes the version of Kubernetes that it was built for, and go run sets none: so it is told.
func TestChartWithHelm(t *testing.T) {
	if *dist == "" {
		return
	}
	schemas := writeSchemas(t)
	for _, file := range valueFiles(t) {
		var args []string
		if file != "" {
			args = []string{"--values", file}
		}
		if out, err := tool(t, nil, helmTool, append([]string{"lint", "--strict", chart}, args...)...); err != nil {
			t.Errorf("helm lint %s: %v\n%s", file, err, out)
		}
		out, err := tool(t, nil, helmTool, append([]string{"template", "shop", chart, "--namespace", "shop", "--kube-version", kubeVersion}, args...)...)
		if err != nil {
			t.Errorf("helm template %s: %v\n%s", file, err, out)
			continue
		}
		if out, err := conform(t, schemas, []byte(out)); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
	for want, set := range map[string]string{
		"RELAY_CAPTURE":                    "config.RELAY_CAPTURE=streams",
		"replicas":                         "replicas=0",
		"RELAY_SHUTDOWN_GRACE is 60 secon": "config.RELAY_SHUTDOWN_GRACE=1m,terminationGracePeriodSeconds=30",
	} {
		out, err := tool(t, nil, helmTool, "template", "shop", chart, "--kube-version", kubeVersion, "--set", set)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("--set %s: %v, want an error with %q\n%s", set, err, want, out)
		}
	}
}
