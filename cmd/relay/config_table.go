package main

import (
	"reflect"
	"strings"
)

// variable describes one field of Config.
type variable struct {
	Name     string
	Default  string // empty: none, or computed
	Unset    string // what stands for a computed default
	Allowed  string
	Meaning  string
	Required bool
	Secret   bool // may be given by a file, and is never shown
}

// variables returns the variables of Config in its order.
func variables() []variable {
	var list []variable
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		tag := field.Tag.Get("env")
		if tag == "" {
			continue
		}
		options, def, _ := strings.Cut(tag, ",default=")
		name, options, _ := strings.Cut(options, ",")
		list = append(list, variable{
			Name:     name,
			Default:  def,
			Unset:    field.Tag.Get("unset"),
			Allowed:  field.Tag.Get("allow"),
			Meaning:  field.Tag.Get("desc"),
			Required: options == "required",
			Secret:   field.Type == reflect.TypeFor[Secret]() || field.Type == reflect.TypeFor[Secrets](),
		})
	}
	return list
}
