package main

import (
	"reflect"
	"strings"

	"relay"
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
	Target   bool // is shown as relay.ShownTarget has it
}

// shown returns what of a value of the variable people may see.
func (v variable) shown(value string) string {
	if v.Target {
		return relay.ShownTarget(value)
	}
	return redact(value, v.Secret)
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
			Target:   field.Type == reflect.TypeFor[Destination]() || field.Type == reflect.TypeFor[AckURL](),
		})
	}
	return list
}
