package scenario

import (
	"strconv"
	"strings"

	"eximpolicyd/acl"
)

// fieldsOf returns what the snippet says of a header: which fields there are, how many of them are not empty, and their
// values, several of one name joined. Without a line nothing is known.
func fieldsOf(lines []string) (w words) {
	if len(lines) == 0 {
		return nil
	}
	for _, f := range []struct{ name, field string }{
		{"msgid", "message-id"}, {"date", "date"}, {"from", "from"},
	} {
		values := valuesOf(lines, f.field)
		n, present := 0, "0"
		for _, v := range values {
			if present = "1"; strings.TrimSpace(v) != "" {
				n++
			}
		}
		value := strings.Join(values, "\n")
		w.set(acl.Pair{Name: f.name + "_present", Value: present}, count(f.name+"_count", n), acl.Pair{Name: f.name, Value: value})
		if f.name == "msgid" {
			w.set(acl.Pair{Name: "msgid_size", Value: strconv.Itoa(len(value))})
		}
	}
	w.set(acl.Pair{Name: "list_id", Value: strings.Join(valuesOf(lines, "list-id"), "\n")})
	return w
}

// valuesOf returns the values of all fields of a name, folded lines and all.
func valuesOf(lines []string, name string) (values []string) {
	for len(lines) > 0 {
		field, first, _ := strings.Cut(lines[0], ":")
		end := 1
		for end < len(lines) && (lines[end][0] == ' ' || lines[end][0] == '\t') {
			end++
		}
		if strings.EqualFold(field, name) {
			value := append([]string{strings.TrimLeft(first, " \t")}, lines[1:end]...)
			values = append(values, strings.Join(value, "\n"))
		}
		lines = lines[end:]
	}
	return values
}
