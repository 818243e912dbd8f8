package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// settingKeys are the fields of a policy's settings that have a toml tag. An about tag has the line that explains one.
func settingKeys(s policy.Settings) []key {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	v = v.Elem()
	var keys []key
	for i := range v.NumField() {
		field := v.Type().Field(i)
		word, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if word == "" || word == "-" || !field.IsExported() {
			continue
		}
		dst := v.Field(i)
		about := field.Tag.Get("about")
		if about == "" {
			about = typeOf(dst.Type())
		}
		keys = append(keys, key{name: word, about: about, value: write(dst),
			read: func(a *arg) { a.into(dst) }})
	}
	return keys
}

// into reads a value into a field, which stays as it is if the value is wrong.
func (a *arg) into(dst reflect.Value) {
	bad := len(a.mistakes)
	fresh := reflect.New(dst.Type()).Elem()
	if a.decode(fresh); len(a.mistakes) == bad {
		dst.Set(fresh)
	}
}

func (a *arg) decode(dst reflect.Value) {
	if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s, ok := a.text(); ok {
			if err := u.UnmarshalText([]byte(s)); err != nil {
				a.fail("%v", err)
			}
		}
		return
	}
	switch want := typeOf(dst.Type()); {
	case dst.Type() == reflect.TypeFor[time.Duration]():
		a.duration(dst)
	case dst.Kind() == reflect.String:
		if s, ok := a.text(); ok {
			dst.SetString(s)
		}
	case dst.Kind() == reflect.Bool:
		if a.value.kind != unstable.Bool {
			a.wrong(want)
			return
		}
		dst.SetBool(a.value.text == "true")
	case dst.CanInt() || dst.CanUint():
		a.integer(dst, want)
	case dst.CanFloat():
		f, err := strconv.ParseFloat(strings.ReplaceAll(a.value.text, "_", ""), 64)
		if a.value.kind != unstable.Float && a.value.kind != unstable.Integer {
			a.wrong(want)
		} else if err != nil || dst.OverflowFloat(f) {
			a.fail("%s is out of range", a.value.text)
		} else {
			dst.SetFloat(f)
		}
	case dst.Kind() == reflect.Slice:
		a.slice(dst)
	default:
		a.fail("can't be set in a file: %s is no type of a key", dst.Type())
	}
}

// duration reads 90s or 1h30m. Its kind is an integer's, of nanoseconds, which nobody means.
func (a *arg) duration(dst reflect.Value) {
	s, ok := a.text()
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		a.fail("%s is no duration: write one like 90s or 1h30m", quoted(s))
		return
	}
	dst.SetInt(int64(d))
}

func (a *arg) integer(dst reflect.Value, want string) {
	if a.value.kind != unstable.Integer {
		a.wrong(want)
		return
	}
	n, err := strconv.ParseInt(a.value.text, 0, 64)
	switch {
	case err != nil, dst.CanInt() && dst.OverflowInt(n), dst.CanUint() && (n < 0 || dst.OverflowUint(uint64(n))):
		a.fail("%s is out of range", printable(a.value.text, 40))
	case dst.CanInt():
		dst.SetInt(n)
	default:
		dst.SetUint(uint64(n))
	}
}

// slice reads a list. An empty one is nil, as in settings that nobody wrote.
func (a *arg) slice(dst reflect.Value) {
	if !a.list() {
		return
	}
	if len(a.value.list) == 0 {
		return
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(a.value.list), len(a.value.list)))
	i := 0
	items(a, func(item *arg) (any, bool) {
		bad := len(a.mistakes)
		item.decode(dst.Index(i))
		id := identity(dst.Index(i), i)
		i++
		return id, len(a.mistakes) == bad
	})
}

// sameZone is what makes two entries of a block list the same: their weights may differ, and then one of them is wrong.
type sameZone rbl.Entry

// String returns the entry with a key in it masked.
func (z sameZone) String() string { return rbl.Entry(z).String() }

// identity returns what stands for an item when doubles are looked for. Most lists may have the same item twice, which
// does no harm; the nth item is then no other's double.
func identity(item reflect.Value, n int) any {
	if e, ok := item.Interface().(rbl.Entry); ok {
		return sameZone{Zone: e.Zone, Codes: e.Codes}
	}
	return n
}

// typeOf says what a field wants.
func typeOf(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a text in quotes"
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return `a duration like "90s"`
	case t.Kind() == reflect.Bool:
		return "true or false, without quotes"
	case t.Kind() == reflect.String:
		return "a text in quotes"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number without quotes"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number without quotes"
	case t.Kind() == reflect.Slice:
		return "a list of such: " + typeOf(t.Elem())
	}
	return t.String()
}

// write returns a field as TOML, or nothing if it can't be written.
func write(v reflect.Value) string {
	if m, ok := v.Addr().Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return quote(string(b))
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s, ok := v.Interface().(fmt.Stringer); ok {
			return quote(s.String())
		}
		return ""
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return quote(v.Interface().(time.Duration).String())
	case v.Kind() == reflect.String:
		return quote(v.String())
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.CanFloat():
		return float(v.Float())
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = write(v.Index(i))
		}
		if line := strings.Join(items, ", "); len(line) <= 100 {
			return "[" + line + "]"
		}
		return "[\n  " + strings.Join(items, ",\n  ") + ",\n]"
	}
	return ""
}

// float writes a number with the point that makes it one of TOML's floats; a whole one would be read all the same.
func float(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
