// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// message is a reference to the schema of a message, which it adds when it is new. Requests
// are closed and say what is required; answers may get more fields in a later release.
func (d *document) message(m *protogen.Message, request bool) object {
	name, ref := reference(m.Desc)
	if _, known := d.schemas[name]; known {
		return ref
	}
	properties := object{}
	schema := object{"type": "object", "description": text(m.Comments.Leading), "properties": properties}
	d.schemas[name] = schema
	var required []string
	for _, f := range m.Fields {
		one := d.field(f, request)
		properties[f.Desc.JSONName()] = one
		if needed(f, one) {
			required = append(required, f.Desc.JSONName())
		}
	}
	if !request {
		return ref
	}
	schema["additionalProperties"] = false
	if len(required) > 0 {
		schema["required"] = required
	}
	rules, _ := proto.GetExtension(m.Desc.Options(), validate.E_Message).(*validate.MessageRules)
	for _, rule := range rules.GetCel() {
		schema["description"] = fmt.Sprintf("%s\n\nRule: %s.", schema["description"], rule.GetMessage())
	}
	return ref
}

// reference is where the schema of a message or an enum is.
func reference(d protoreflect.Descriptor) (name string, ref object) {
	name = strings.TrimPrefix(string(d.FullName()), "mailpush.")
	return name, object{"$ref": "#/components/schemas/" + name}
}

func (d *document) field(f *protogen.Field, request bool) object {
	rules := rulesOf(f)
	var schema object
	switch {
	case f.Desc.IsMap():
		schema = object{"type": "object", "additionalProperties": d.value(f.Message.Fields[1], nil, request)}
	case f.Desc.IsList():
		schema = object{"type": "array", "items": d.value(f, rules.GetRepeated().GetItems(), request)}
		constrain(schema, rules.GetRepeated())
	default:
		schema = d.value(f, rules, request)
	}
	schema["description"] = text(f.Comments.Leading)
	if options, ok := f.Desc.Options().(*descriptorpb.FieldOptions); ok && options.GetDebugRedact() && schema["type"] == "string" {
		schema["format"] = "password"
	}
	return schema
}

// value is the schema of one value of a field.
func (d *document) value(f *protogen.Field, rules *validate.FieldRules, request bool) object {
	switch f.Desc.Kind() {
	case protoreflect.MessageKind:
		switch f.Message.Desc.FullName() {
		case "google.protobuf.Timestamp":
			return object{"type": "string", "format": "date-time"}
		case "google.protobuf.Duration":
			return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,9})?s$`}
		}
		return d.message(f.Message, request)
	case protoreflect.EnumKind:
		return d.enum(f.Enum)
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.StringKind:
		schema := object{"type": "string"}
		constrain(schema, rules.GetString())
		return schema
	case protoreflect.Int32Kind:
		schema := object{"type": "integer", "minimum": math.MinInt32, "maximum": math.MaxInt32}
		constrain(schema, rules.GetInt32())
		return schema
	case protoreflect.Uint32Kind:
		schema := object{"type": "integer", "minimum": 0, "maximum": math.MaxUint32}
		constrain(schema, rules.GetUint32())
		return schema
	default: // of 64 bits, which JSON's readers cannot all hold
		return object{"type": "string", "format": f.Desc.Kind().String()}
	}
}

// enum is a reference to the schema of an enum.
func (d *document) enum(e *protogen.Enum) object {
	name, ref := reference(e.Desc)
	var names []string
	var about strings.Builder
	about.WriteString(text(e.Comments.Leading) + "\n")
	for _, v := range e.Values {
		names = append(names, string(v.Desc.Name()))
		fmt.Fprintf(&about, "\n- %s: %s", v.Desc.Name(), text(v.Comments.Leading))
	}
	d.schemas[name] = object{"type": "string", "enum": names, "description": about.String()}
	return ref
}

func rulesOf(f *protogen.Field) *validate.FieldRules {
	rules, _ := proto.GetExtension(f.Desc.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// constrain takes over the rules that JSON Schema has under other names.
func constrain(schema object, rules proto.Message) {
	names := map[protoreflect.Name]string{
		"pattern": "pattern", "min_len": "minLength", "max_len": "maxLength", "min_items": "minItems", "max_items": "maxItems",
		"unique": "uniqueItems", "gte": "minimum", "lte": "maximum", "in": "enum",
	}
	rules.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name, known := names[f.Name()]
		switch {
		case !known:
		case f.IsList():
			var list []any
			for i := range v.List().Len() {
				list = append(list, v.List().Get(i).Interface())
			}
			schema[name] = list
		default:
			schema[name] = v.Interface()
		}
		return true
	})
}

// needed tells whether the rules refuse a field that is left out.
func needed(f *protogen.Field, schema object) bool {
	if rulesOf(f).GetRequired() {
		return true
	}
	pattern, _ := schema["pattern"].(string)
	some := func(name string) bool { n, ok := schema[name].(uint64); return ok && n > 0 }
	return f.Desc.Kind() == protoreflect.StringKind && pattern != "" && !regexp.MustCompile(pattern).MatchString("") ||
		some("minLength") || some("minItems")
}
