package main

import (
	"regexp"
	"slices"
	"strings"
)

// kubernetesName matches the variables that Kubernetes sets in every pod for a service
// called relay (kubernetes.io/docs/concepts/services-networking/service, 'Environment
// variables').
var kubernetesName = regexp.MustCompile(
	`^RELAY_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// unknown is a variable that looks like one of the relay's, and the one it may stand for.
type unknown struct{ Name, Nearest string }

// unknownVariables returns the RELAY_… names in env that the relay does not know, sorted.
func unknownVariables(env map[string]string) []unknown {
	known := knownNames()
	var list []unknown
	for name := range env {
		if strings.HasPrefix(name, "RELAY_") && !slices.Contains(known, name) && !kubernetesName.MatchString(name) {
			list = append(list, unknown{name, nearest(name, known)})
		}
	}
	slices.SortFunc(list, func(a, b unknown) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func knownNames() []string {
	var names []string
	for _, v := range variables() {
		names = append(names, v.Name)
		if v.Secret {
			names = append(names, v.Name+fileSuffix)
		}
	}
	return names
}

// nearest returns the name at the smallest edit distance, the first of several.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int {
		return editDistance(name, a) - editDistance(name, b)
	})
}

// editDistance returns how many bytes must be inserted, removed or replaced to make b of
// a (Levenshtein 1966, by the rows of Wagner and Fischer).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
