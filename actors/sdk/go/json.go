package nanolattice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

func encodeJSON(value any) ([]byte, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, Fail("internal", err.Error())
	}
	return encoded, nil
}

// decodeJSON reads exactly one value, and fails with "invalid" and the field. encoding/json lets fields be missing; here
// they are wanted.
func decodeJSON(data []byte, into any) error {
	whole, err := anyJSON(data)
	if err != nil {
		return err
	}
	if missing := missingIn(reflect.TypeOf(into).Elem(), whole, ""); missing != "" {
		return Invalid(missing + " is missing")
	}
	err = json.Unmarshal(data, into)
	var mistake *json.UnmarshalTypeError
	if errors.As(err, &mistake) {
		field := mistake.Field
		if field == "" {
			field = "the body"
		}
		return Invalid(field + " must be " + wanted(mistake.Type))
	}
	if err != nil {
		return Invalid(err.Error())
	}
	return nil
}

// anyJSON is what the text says, numbers as they are written.
func anyJSON(data []byte) (whole any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&whole); err != nil {
		return nil, Invalid("the body is not JSON: " + err.Error())
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, Invalid("the body is not JSON: something follows the value")
	}
	if !isText(data) {
		return nil, Invalid("the body has a text that is not Unicode")
	}
	return whole, nil
}

// isText finds what encoding/json would replace: bytes that are not UTF-8, and halves of a character beyond 16 bits. The
// data are well-formed otherwise.
func isText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	waiting := false // for the second half
	for at := 0; at < len(data); at++ {
		var unit uint64
		if data[at] == '\\' {
			at++
			if data[at] == 'u' {
				unit, _ = strconv.ParseUint(string(data[at+1:at+5]), 16, 32)
				at += 4
			}
		}
		if isSecond := unit >= 0xdc00 && unit < 0xe000; isSecond != waiting {
			return false
		}
		waiting = unit >= 0xd800 && unit < 0xdc00
	}
	return true
}

// fromElsewhere reads what others wrote: that it cannot be read is not the fault of whoever asks now.
func fromElsewhere(what string, data []byte, into any) error {
	if err := decodeJSON(data, into); err != nil {
		return Fail("malformed_message", what+": "+messageOf(err))
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// missingIn is the path of the first field that is wanted and not there, or null. Types that read themselves are left
// alone.
func missingIn(wanted reflect.Type, value any, path string) string {
	if reflect.PointerTo(wanted).Implements(unmarshaler) {
		return ""
	}
	switch wanted.Kind() {
	case reflect.Pointer:
		if value != nil {
			return missingIn(wanted.Elem(), value, path)
		}
	case reflect.Slice, reflect.Array:
		items, _ := value.([]any)
		for at, item := range items {
			if missing := missingIn(wanted.Elem(), item, join(path, strconv.Itoa(at))); missing != "" {
				return missing
			}
		}
	case reflect.Map:
		members, _ := value.(map[string]any)
		for name, member := range members {
			if missing := missingIn(wanted.Elem(), member, join(path, name)); missing != "" {
				return missing
			}
		}
	case reflect.Struct:
		if members, isObject := value.(map[string]any); isObject {
			return missingField(wanted, members, path)
		}
	}
	return ""
}

func missingField(wanted reflect.Type, members map[string]any, path string) string {
	for _, field := range reflect.VisibleFields(wanted) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || field.Anonymous || len(field.Index) > 1 || name == "-" && options == "" {
			continue // what an embedded struct brings along may be missing
		}
		if name == "" {
			name = field.Name
		}
		member, there := members[name]
		for found := range members {
			if !there && strings.EqualFold(found, name) {
				member, there = members[found], true
			}
		}
		mayBeMissing := field.Type.Kind() == reflect.Pointer || strings.Contains(options, "omit")
		if !there || member == nil && !mayBeMissing && field.Type.Kind() != reflect.Interface {
			if !mayBeMissing {
				return join(path, name)
			}
			continue
		}
		if missing := missingIn(field.Type, member, join(path, name)); missing != "" {
			return missing
		}
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// wanted says in words what a type takes.
func wanted(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", kind.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of %d bits, not below 0", kind.Bits())
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}
