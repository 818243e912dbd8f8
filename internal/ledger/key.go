package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Key is what is counted: a network, an account, a domain, or everything. It has a fixed size and is comparable; the
// zero Key is nothing. The first octet is the kind or the size of the network, the others its bits or a hash.
type Key [9]byte

// The kinds of keys that are no IPv4 network, whose first octet is its size.
const (
	kindV6      = 0x80 // plus the size, at most 64
	kindAccount = 0x41
	kindTotal   = 0x42
	kindDomain  = 0x43
)

// Total is the key of everything together.
var Total = Key{kindTotal}

// Of returns the key of a network: any of IPv4, of IPv6 one of at most 64 bits. A longer one is counted as its /64, a
// zero prefix as nothing.
func Of(p netip.Prefix) (k Key) {
	if !p.IsValid() {
		return k
	}
	p = p.Masked()
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		k[0] = byte(p.Bits())
		copy(k[1:], b[:])
		k[5] = 1 // so that 0.0.0.0/0 is not nothing
		return k
	}
	b := p.Addr().As16()
	k[0] = kindV6 + byte(min(p.Bits(), 64))
	copy(k[1:], b[:8])
	return k
}

// Keys returns the key of Client of an address, and those of Networks behind it. That is what nearly every decision asks for,
// and half as much work as by way of the networks.
func Keys(a netip.Addr) (keys [3]Key, n int) {
	switch {
	case a.Is4():
		b := a.As4()
		keys[0] = Key{32, b[0], b[1], b[2], b[3], 1}
		keys[1] = Key{24, b[0], b[1], b[2], 0, 1}
		return keys, 2
	case a.IsValid():
		b := a.As16()
		keys[0] = Key{kindV6 + 64, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]}
		keys[1] = Key{kindV6 + 56, b[0], b[1], b[2], b[3], b[4], b[5], b[6]}
		keys[2] = Key{kindV6 + 48, b[0], b[1], b[2], b[3], b[4], b[5]}
		return keys, 3
	}
	return keys, 0
}

// Account returns the key of an account: the login name, or the uid in digits. It holds 64 bits of a hash of it.
func Account(name string) Key { return hashed(kindAccount, name) }

// Domain returns the key of a domain, likewise.
func Domain(name string) Key { return hashed(kindDomain, name) }

func hashed(kind byte, text string) (k Key) {
	sum := sha256.Sum256([]byte(text))
	k[0] = kind
	copy(k[1:], sum[:])
	return k
}

// Prefix returns the network of a key, or false if it is none's.
func (k Key) Prefix() (netip.Prefix, bool) {
	switch kind := k[0]; {
	case kind <= 32 && k[5] == 1:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(k[1:5])), int(kind)), true
	case kind >= kindV6 && kind <= kindV6+64:
		var b [16]byte
		copy(b[:], k[1:])
		return netip.PrefixFrom(netip.AddrFrom16(b), int(kind-kindV6)), true
	}
	return netip.Prefix{}, false
}

// String returns the network, or the kind and the hash.
func (k Key) String() string {
	if p, ok := k.Prefix(); ok {
		return p.String()
	}
	switch k[0] {
	case kindAccount:
		return "account:" + hex.EncodeToString(k[1:])
	case kindDomain:
		return "domain:" + hex.EncodeToString(k[1:])
	case kindTotal:
		return "total"
	}
	return ""
}

// MarshalText writes a key as String does.
func (k Key) MarshalText() ([]byte, error) {
	if !k.valid() {
		return nil, fmt.Errorf("%x is no key", k[:])
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText writes. Each key has one text: 192.0.2.1/24 and upper case are mistakes.
func (k *Key) UnmarshalText(text []byte) error {
	var read Key
	kind, hash, hashed := strings.Cut(string(text), ":")
	switch {
	case string(text) == "total":
		read = Total
	case hashed && (kind == "account" || kind == "domain"):
		read[0] = kindDomain
		if kind == "account" {
			read[0] = kindAccount
		}
		if len(hash) == 2*len(read[1:]) {
			_, _ = hex.Decode(read[1:], []byte(hash)) // what is not read differs below
		}
	default:
		p, _ := netip.ParsePrefix(string(text))
		read = Of(p)
	}
	if read == (Key{}) || read.String() != string(text) {
		return fmt.Errorf("%.60q is no key: write a network as 192.0.2.0/24, account: or domain: and 16 hexadecimal digits, or total", text)
	}
	*k = read
	return nil
}

// valid reports whether a key is one that this package makes.
func (k Key) valid() bool {
	if p, ok := k.Prefix(); ok {
		return Of(p) == k
	}
	return k == Total || k[0] == kindAccount || k[0] == kindDomain
}

// Client returns the network that a client is counted and banned as: its IPv4 address, or its /64.
func Client(a netip.Addr) netip.Prefix { return of(a, 32, 64) }

// Networks returns the networks that a client is counted in besides, the smallest first: /24, or /56 and /48.
func Networks(a netip.Addr) []netip.Prefix {
	if a.Is4() {
		return []netip.Prefix{of(a, 24, 0)}
	}
	if !a.IsValid() {
		return nil
	}
	return []netip.Prefix{of(a, 0, 56), of(a, 0, 48)}
}

// Member returns what a client is called among the members of one of its networks: the octets between them. It is never
// 0, which says nobody.
func Member(a netip.Addr, of netip.Prefix) uint16 {
	if a.Is4() {
		b := a.As4()
		return 1 + uint16(b[3])
	}
	b := a.As16()
	if of.Bits() >= 56 {
		return 1 + uint16(b[7])
	}
	return max(uint16(b[6])<<8|uint16(b[7]), 1)
}

func of(a netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
