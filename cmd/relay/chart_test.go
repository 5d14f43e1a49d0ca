package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestChartVariables compares what the chart's schema says of the relay's variables with Config, so that each variable
// can be set and no other one. With -update it writes that part of the schema.
func TestChartVariables(t *testing.T) {
	const path = "../../deploy/chart/values.schema.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	properties := schema["properties"].(map[string]any)
	properties["config"], properties["secrets"] = chartVariables()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(text, want.Bytes()) {
		return
	}
	if !*update {
		t.Fatalf("the variables in %s are not those of Config; run: go test ./cmd/relay -run TestChartVariables -update", path)
	}
	if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// chartVariables returns the schemas of the chart's values config and secrets.
func chartVariables() (config, secrets map[string]any) {
	open, secret := map[string]any{}, map[string]any{}
	for _, v := range variables() {
		about := v.Meaning + " Allowed: " + v.Allowed + "."
		if v.Secret {
			secret[v.Name] = map[string]any{"description": about, "allOf": []any{map[string]any{"$ref": "#/definitions/secret"}}}
			continue
		}
		s := chartValue(v)
		s["description"] = about
		open[v.Name] = s
	}
	return chartObject(open), chartObject(secret)
}

func chartObject(properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

var (
	chartWords = regexp.MustCompile(`^\w+(, \w+)* or \w+$`)
	chartRange = regexp.MustCompile(`^a whole number from (\d+) to (\d+)`)
)

// chartValue says what a variable may be as far as a schema can say it. The relay itself judges the rest.
func chartValue(v variable) map[string]any {
	switch {
	case v.Allowed == "true or false":
		return map[string]any{"type": "boolean"}
	case chartWords.MatchString(v.Allowed):
		return map[string]any{"enum": strings.Split(strings.ReplaceAll(v.Allowed, " or ", ", "), ", ")}
	case chartRange.MatchString(v.Allowed):
		bounds := chartRange.FindStringSubmatch(v.Allowed)
		least, _ := strconv.Atoi(bounds[1]) // the expression has found digits
		most, _ := strconv.Atoi(bounds[2])
		return map[string]any{"type": "integer", "minimum": least, "maximum": most}
	case strings.HasPrefix(v.Allowed, "a duration"):
		return map[string]any{"type": "string", "pattern": `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`}
	case strings.HasPrefix(v.Allowed, "a size"):
		return map[string]any{"type": "string", "pattern": `^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)?$`}
	case strings.HasPrefix(v.Allowed, "host:port"):
		return map[string]any{"type": "string", "pattern": `^(off|.*:[0-9]{1,5})$`}
	}
	return map[string]any{"type": "string", "minLength": 1}
}
