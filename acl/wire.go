package acl

import (
	"fmt"
	"slices"
	"strings"

	"eximpolicyd/policy"
)

// Bounds of a request. The largest one that the snippet can make is computed in its tests and stays below.
const (
	MaxRequest = 64 << 10
	MaxNames   = 64
	maxName    = 32 // the longest name of ours is 19
)

// resetRequest is what the snippet's fail string sends to make Exim forget a closed descriptor. It alone is met with
// silence.
const resetRequest = "reset"

// Malformed is the error of a request against the grammar. Its text holds no byte of the request but a name.
type Malformed struct{ What string }

// Error says what is wrong.
func (m *Malformed) Error() string { return "malformed: " + m.What }

func malformed(format string, args ...any) error { return &Malformed{fmt.Sprintf(format, args...)} }

// ParseRequest reads one request, as described in the package comment. What stands behind the empty line is ignored,
// since it may or may not have arrived. The error is a *Malformed.
func ParseRequest(raw []byte) (*policy.Request, error) {
	if len(raw) > MaxRequest {
		return nil, malformed("over %d octets", MaxRequest)
	}
	rest := string(raw)
	for i, want := range []string{"request=exim_acl", "v=1"} {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok || line != want {
			return nil, malformed("line %d is not %s", i+1, want)
		}
		rest = after
	}
	b := builder{q: new(policy.Request)}
	for n := 3; rest != "" && rest[0] != '\n'; n++ {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return nil, malformed("line %d is cut", n)
		}
		rest = after
		name, raw, ok := strings.Cut(line, "=")
		at := b.place(name)
		if !ok || at < 0 && !validName(name) {
			return nil, malformed("line %d is no name=value", n)
		}
		value, ok := unquote(raw)
		if !ok {
			return nil, malformed("the value of %s", name)
		}
		if err := b.set(at, name, value); err != nil {
			return nil, err
		}
	}
	return b.finish()
}

// NewRequest makes a request of name=value pairs as a person types them, unquoted, with the protocol's own names and
// client_name and helo_history besides. Without a protocol_state it asks at RCPT. A missing name is a fact that is not
// known. Unknown names are errors here: a person mistypes, a newer snippet does not.
func NewRequest(pairs []Pair) (*policy.Request, error) {
	b := builder{q: new(policy.Request), typed: true}
	for _, p := range pairs {
		if p.Name == "request" || p.Name == "v" {
			continue
		}
		if err := b.set(b.place(p.Name), p.Name, p.Value); err != nil {
			return nil, err
		}
	}
	if b.q.Stage == policy.NoStage {
		b.q.Stage = policy.RCPT
	}
	return b.finish()
}

// Pair is one name and its unquoted value.
type Pair struct{ Name, Value string }

// Pairs writes a request as NewRequest reads it, with the names in the order of the snippet. What is not known is left out.
func Pairs(q *policy.Request) []Pair {
	var pairs []Pair
	for i := range wireNames {
		if value, known := wireNames[i].get(q); known {
			pairs = append(pairs, Pair{wireNames[i].name, value})
		}
	}
	return pairs
}

// AppendRequest writes a request as the snippet does.
func AppendRequest(dst []byte, pairs []Pair) []byte {
	dst = append(dst, "request=exim_acl\nv=1\n"...)
	for _, p := range pairs {
		dst = append(dst, p.Name...)
		dst = append(dst, '=')
		dst = appendQuoted(dst, p.Value)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// builder fills a request name by name. It stays on the stack; only the request goes on.
type builder struct {
	q     *policy.Request
	next  int      // the place of the name that should come next
	seen  uint64   // the places of the names set
	other []string // names that we do not know
	n     int
	typed bool // by a person: unknown names are errors, the names of check are known
}

// place finds a name in wireNames, first where the snippet has it; -1 if it is not there.
func (b *builder) place(name string) int {
	at := b.next
	if at == len(wireNames) || wireNames[at].name != name {
		found, ok := placeOf[name]
		if !ok {
			return -1
		}
		at = found
	}
	if wireNames[at].check && !b.typed {
		return -1
	}
	b.next = at + 1
	return at
}

// set puts the value of the name at a place into the request.
func (b *builder) set(at int, name, value string) error {
	if at >= 0 && b.seen&(1<<at) != 0 || at < 0 && slices.Contains(b.other, name) {
		return malformed("%s stands twice", name)
	}
	if b.n++; b.n > MaxNames {
		return malformed("over %d names", MaxNames)
	}
	switch {
	case at < 0 && b.typed:
		return malformed("%s is no name of the protocol", printable(name, maxName))
	case at < 0:
		b.other = append(b.other, name)
		b.q.UnknownNames++
		return nil
	}
	b.seen |= 1 << at
	if err := wireNames[at].set(b.q, value); err != nil {
		return malformed("the value of %s: %v", name, err)
	}
	return nil
}

func (b *builder) finish() (*policy.Request, error) {
	if b.q.Stage == policy.NoStage {
		return nil, malformed("no protocol_state")
	}
	b.q.Settle()
	return b.q, nil
}
