package control

import (
	"bufio"
	"fmt"
	"io"
	"slices"
)

// Plain writes a network a line.
func Plain(w io.Writer, networks []Barred) error {
	out := bufio.NewWriter(w)
	for _, n := range networks {
		fmt.Fprintln(out, n.Network)
	}
	return out.Flush()
}

// NFT writes a script for nft -f that fills two sets, at once and as often as it is run. It makes no rule: what a
// firewall does with whom stays with its owner.
func NFT(w io.Writer, networks []Barred) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, `# Networks that eximpolicyd has banned. To drop them at port 25, once:
#   nft add chain inet eximpolicyd input '{ type filter hook input priority filter; }'
#   nft add rule inet eximpolicyd input tcp dport 25 ip saddr @banned4 drop
#   nft add rule inet eximpolicyd input tcp dport 25 ip6 saddr @banned6 drop
add table inet eximpolicyd
add set inet eximpolicyd banned4 { type ipv4_addr; flags interval, timeout; }
add set inet eximpolicyd banned6 { type ipv6_addr; flags interval, timeout; }
flush set inet eximpolicyd banned4
flush set inet eximpolicyd banned6
`)
	v4, v6 := byFamily(networks)
	elements(out, "banned4", v4)
	elements(out, "banned6", v6)
	return out.Flush()
}

func elements(out io.Writer, set string, networks []Barred) {
	if len(networks) == 0 {
		return
	}
	fmt.Fprintf(out, "add element inet eximpolicyd %s {\n", set)
	for _, n := range networks { // the last comma is allowed
		timeout := ""
		if n.Left > 0 {
			timeout = fmt.Sprintf(" timeout %dd%ds", n.Left/86400, n.Left%86400) // it takes no number of nine digits
		}
		fmt.Fprintf(out, "\t%s%s,\n", n.Network, timeout)
	}
	fmt.Fprintln(out, "}")
}

// Bounds of ipset.
const (
	maxElements = 1 << 20        // of a set: MaxBans, cut into pieces around what is allowed
	maxTimeout  = 1<<31/1000 - 1 // seconds
)

// IPSet writes a script for ipset restore that fills two sets and puts them in the place of the old ones at once.
func IPSet(w io.Writer, networks []Barred) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, `# Networks that eximpolicyd has banned. To drop them at port 25, once:
#   iptables -I INPUT -p tcp --dport 25 -m set --match-set eximpolicyd4 src -j DROP
#   ip6tables -I INPUT -p tcp --dport 25 -m set --match-set eximpolicyd6 src -j DROP
`)
	v4, v6 := byFamily(networks)
	for _, f := range []struct {
		set, family string
		list        []Barred
	}{{"eximpolicyd4", "inet", v4}, {"eximpolicyd6", "inet6", v6}} {
		for _, set := range []string{f.set, f.set + "-next"} {
			fmt.Fprintf(out, "create %s hash:net family %s maxelem %d timeout 0 -exist\n", set, f.family, maxElements)
		}
		fmt.Fprintf(out, "flush %s-next\n", f.set)
		for _, n := range f.list {
			fmt.Fprintf(out, "add %s-next %s timeout %d\n", f.set, n.Network, min(n.Left, maxTimeout))
		}
		fmt.Fprintf(out, "swap %s-next %s\ndestroy %s-next\n", f.set, f.set, f.set)
	}
	return out.Flush()
}

// byFamily parts networks that are in their order.
func byFamily(networks []Barred) (v4, v6 []Barred) {
	n := slices.IndexFunc(networks, func(n Barred) bool { return n.Network.Addr().Is6() })
	if n < 0 {
		n = len(networks)
	}
	return networks[:n], networks[n:]
}
