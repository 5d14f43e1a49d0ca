package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const chart = "../chart"

// object is a value of YAML.
type object = map[string]any

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// values returns the chart's values with those of a file or of a test over them. As in helm, null removes a key.
func values(t *testing.T, over object) object {
	t.Helper()
	all := make(object)
	readYAML(t, filepath.Join(chart, "values.yaml"), &all)
	return merge(all, over)
}

func merge(under, over object) object {
	for name, value := range over {
		below, both := under[name].(object)
		above, objects := value.(object)
		switch {
		case value == nil:
			delete(under, name)
		case both && objects:
			under[name] = merge(below, above)
		default:
			under[name] = value
		}
	}
	return under
}

// validate judges values by the chart's schema, as helm does before it renders.
func validate(t *testing.T, values object) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(values)
}

// render renders the chart with the functions that helm gives to templates, and returns what it holds by kind. Helm
// itself takes many minutes to build, and so make package-test alone runs it.
func render(t *testing.T, values object) (map[string]object, error) {
	t.Helper()
	if err := validate(t, values); err != nil {
		return nil, err
	}
	about := make(object)
	readYAML(t, filepath.Join(chart, "Chart.yaml"), &about)
	data := object{
		"Values":  asHelm(values),
		"Chart":   object{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
		"Release": object{"Name": "shop", "Namespace": "shop", "Service": "Helm"},
	}
	all := parse(t)
	rendered := make(map[string]object)
	for _, each := range all.Templates() {
		if !strings.HasSuffix(each.Name(), ".yaml") && !strings.HasSuffix(each.Name(), ".txt") {
			continue
		}
		var text bytes.Buffer
		if err := each.Execute(&text, data); err != nil {
			return nil, err
		}
		if strings.HasSuffix(each.Name(), ".yaml") && strings.TrimSpace(text.String()) != "" {
			document := make(object)
			if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", each.Name(), err, &text)
			}
			rendered[document["kind"].(string)] = document
		}
	}
	return rendered, nil
}

// parse parses the templates with the functions that helm has besides those of sprig.
func parse(t *testing.T) *template.Template {
	t.Helper()
	all := template.New("").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data any) (string, error) {
		var text strings.Builder
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["toYaml"] = func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["fail"] = func(text string) (string, error) { return "", fmt.Errorf("%s", text) }
	if _, err := all.Funcs(functions).ParseGlob(filepath.Join(chart, "templates", "*")); err != nil {
		t.Fatal(err)
	}
	return all
}

// asHelm turns whole numbers into floats, as helm reads them from files.
func asHelm(value any) any {
	switch v := value.(type) {
	case object:
		for name := range v {
			v[name] = asHelm(v[name])
		}
	case []any:
		for i := range v {
			v[i] = asHelm(v[i])
		}
	case int:
		return float64(v)
	}
	return value
}
