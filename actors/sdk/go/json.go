package nanolattice

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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
	wants := reflect.TypeOf(into).Elem()
	if missing := missingIn(wants, whole, ""); missing != "" {
		return Invalid(missing + " is missing")
	}
	if whole == nil && wants.Kind() != reflect.Pointer && wants.Kind() != reflect.Interface {
		return Invalid("the body must be " + wanted(wants))
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

// missingIn is the path of the first value that is wanted and not there, or null. Types that read themselves are left
// alone, and what is of another kind is found by encoding/json.
func missingIn(wanted reflect.Type, value any, path string) string {
	kind := wanted.Kind()
	if kind == reflect.Interface || reflect.PointerTo(wanted).Implements(unmarshaler) {
		return ""
	}
	if kind == reflect.Pointer {
		if value == nil {
			return ""
		}
		return missingIn(wanted.Elem(), value, path)
	}
	if value == nil {
		return path
	}
	switch found := value.(type) {
	case []any:
		if kind == reflect.Slice || kind == reflect.Array {
			for at, item := range found {
				if missing := missingIn(wanted.Elem(), item, join(path, strconv.Itoa(at))); missing != "" {
					return missing
				}
			}
		}
	case map[string]any:
		if kind == reflect.Struct {
			return missingField(wanted, found, path)
		}
		if kind == reflect.Map {
			for name, member := range found {
				if missing := missingIn(wanted.Elem(), member, join(path, name)); missing != "" {
					return missing
				}
			}
		}
	}
	return ""
}

// missingField passes over what an embedded struct brings along: that may be missing.
func missingField(wanted reflect.Type, members map[string]any, path string) string {
	for _, field := range reflect.VisibleFields(wanted) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || len(field.Index) > 1 || field.Anonymous || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		mayBeMissing := field.Type.Kind() == reflect.Pointer || strings.Contains(options, "omit")
		member, there := memberOf(members, name)
		if mayBeMissing && member == nil {
			continue
		}
		if !there {
			return join(path, name)
		}
		if missing := missingIn(field.Type, member, join(path, name)); missing != "" {
			return missing
		}
	}
	return ""
}

// memberOf looks for a name as encoding/json does, which takes capitals and small letters for the same.
func memberOf(members map[string]any, name string) (any, bool) {
	if member, there := members[name]; there {
		return member, true
	}
	for found, member := range members {
		if strings.EqualFold(found, name) {
			return member, true
		}
	}
	return nil, false
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
		most := int64(math.MaxInt64) >> (64 - kind.Bits())
		return fmt.Sprintf("a whole number from %d to %d", -most-1, most)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-kind.Bits()))
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}
