package config

// seed is one mistake: a line of a table, an item of a list, or a piece of a file. The mark ‸ stands where the mistake
// must be reported.
type seed struct {
	table string // "": the top of the file
	list  string // the key that the text is an item of
	text  string
	want  string // "key: text"
}

// whole seeds are pieces of a file, with headers of their own.
const whole = "-"

func seeds() []seed {
	return append(append(append(keySeeds(), valueSeeds()...), itemSeeds()...), append(syntaxSeeds(), tableSeeds()...)...)
}

// Names that nobody reads.
func keySeeds() []seed {
	return []seed{
		{text: `‸modde = "off"`, want: `modde: unknown key, did you mean mode`},
		{text: `‸level = "info"`, want: `level: unknown key here: it belongs into [log]`},
		{text: `‸colour = "red"`, want: `colour: unknown key: here are mode, listen, own, exempt, dns, state, metrics, log, policy`},
		{table: "listen", text: `‸sokcet = "/run/x.sock"`, want: `listen.sokcet: unknown key, did you mean socket`},
		{table: "listen", text: `‸mode = "off"`, want: `listen.mode: unknown key here: it belongs at the top, before the first table`},
		{table: "listen", text: `‸"a key" = 1`, want: `listen."a key": unknown key: here are socket, group, peers, prove`},
		{table: "dns", text: `‸server = ["127.0.0.1"]`, want: `dns.server: unknown key, did you mean servers`},
		{table: "log", text: `  ‸LEVEL = "info"`, want: `log.LEVEL: unknown key, did you mean level`},
		{table: "own", text: `‸domain = ["example.com"]`, want: `own.domain: unknown key, did you mean domains`},
		{table: "exempt", text: `‸submission-port = [465]`, want: `exempt.submission-port: unknown key, did you mean submission_ports`},
		{table: "policy.helo", text: `‸grace = 2026-12-01`, want: `policy.helo.grace: unknown key, did you mean grace_until`},
		{table: "policy.helo", text: `‸H13 = "off"`, want: `policy.helo.H13: unknown key here: it belongs into [policy.helo.rules]`},
		{table: "policy.rbl", text: `‸zone = ["one.test"]`, want: `policy.rbl.zone: unknown key, did you mean zones`},
		{table: "policy.rbl", text: `‸"0123456789abcdefghijklmnop.zen.dq.spamhaus.net" = 5`,
			want: `policy.rbl."***.zen.dq.spamhaus.net": unknown key: here are mode, preset, grace_until, threshold, zones, name_zones, names, rules`},
		{table: "policy.ptr", text: `‸threshold = 2`, want: `policy.ptr.threshold: unknown key here: it belongs into [policy.rbl]`},
		{table: "policy.nobody", text: `‸robots = []`, want: `policy.nobody.robots: unknown key here: it belongs into [policy.helo]`},
		{table: "policy.helo.rules", text: `‸H99 = "off"`, want: `policy.helo.rules.H99: unknown rule, did you mean H9; ` +
			`there are H1, H17, H2, H3, H4, H5, H6, H7, H8, H9, H10, H11, H12, H13, H14, H15, H16`},
		{table: "policy.messageid.rules", text: `‸m1 = "off"`, want: `policy.messageid.rules.m1: unknown rule, did you mean M1; ` +
			`there are M1, M2, M3, M4, M5, M8`},
		{table: "policy.nobody", text: `rules = {N1 = "off", ‸N6 = "off"}`, want: `policy.nobody.rules.N6: unknown rule: here are N1`},
		{table: "policy.extra", text: `‸silent = 1`, want: `policy.extra.silent: unknown key: here are mode, preset, grace_until, ` +
			`word, flag, count, small, share, worst, ports, words, modes, wait, ages, rules`},
	}
}

// Values of the wrong type or out of range.
func valueSeeds() []seed {
	return []seed{
		{text: `mode = ‸"enforced"`, want: `mode: "enforced" is no mode: off, observe or enforce`},
		{table: "listen", text: `socket =   ‸"run/policy.sock"`,
			want: `listen.socket: "run/policy.sock" is no absolute path: write one like /run/eximpolicyd/policy.sock`},
		{table: "listen", text: `group = ‸"Debian exim"`,
			want: `listen.group: "Debian exim" has a character that no name has: write the name of a group, like Debian-exim`},
		{table: "listen", text: `prove = ‸true`, want: `listen.prove: must be one of the words on or off, in quotes, not true or false`},
		{table: "metrics", text: `‸socket = "/run/x.sock"`, want: `metrics.socket: unknown key here: it belongs into [listen]`},
		{table: "metrics", text: `listen = ‸9925`, want: `metrics.listen: must be a text in quotes, not a number`},
		{table: "metrics", text: `group = ‸"Debian exim"`, want: `metrics.group: "Debian exim" has a character that no name has`},
		{table: "state", text: `‸path = "/var/lib/x"`, want: `state.path: unknown key: here are save, dir, keys`},
		{table: "state", text: `save = ‸true`, want: `state.save: must be one of the words on or off, in quotes`},
		{table: "state", text: `dir = ‸"state"`, want: `state.dir: "state" is no clean absolute path: write one like /var/lib/eximpolicyd`},
		{table: "state", text: `keys = ‸999`, want: `state.keys: 999 is out of range: write 1000 to 10000000`},
		{table: "dns", text: `ask = ‸"yes"`, want: `dns.ask: "yes" is none of on or off`},
		{table: "log", text: `level = ‸"loud"`, want: `log.level: "loud" is none of debug, info, warn or error`},
		{table: "log", text: "format\t=\t‸'xml'", want: `log.format: "xml" is none of auto, text, journal or json`},
		{table: "log", text: `privacy = ‸[]`, want: `log.privacy: must be one of the words full, hashed or none, in quotes, not a list`},
		{table: "own", text: `domains = ‸"localdomains"`,
			want: `own.domains: "localdomains" is no absolute path: write one like /etc/localdomains, or a list`},
		{table: "policy.helo", text: `mode = ‸5`, want: `policy.helo.mode: must be a text in quotes, not a number`},
		{table: "policy.helo", text: `preset = ‸"rcf"`, want: `policy.helo.preset: "rcf" is no preset: lenient, rfc or strict`},
		{table: "policy.helo", text: `grace_until = ‸2026-02-30`,
			want: `policy.helo.grace_until: "2026-02-30" is no date of the calendar: write one like 2026-12-01`},
		{table: "policy.nobody", text: `grace_until = ‸2026-12-01T08:00:00`,
			want: `policy.nobody.grace_until: 2026-12-01T08:00:00 has no zone: write 2026-12-01T08:00:00Z, or the date alone`},
		{table: "policy.messageid", text: `grace_until = ‸20261201`, want: `policy.messageid.grace_until: must be a date like 2026-12-01, not a number`},
		{table: "policy.helo", text: `robots = ‸"ylmf-pc"`, want: `policy.helo.robots: must be a list, not a text: write ["ylmf-pc"]`},
		{table: "policy.messageid", text: `date_ahead = ‸-3`, want: `policy.messageid.date_ahead: must be 0 (not judged) to 3650 days`},
		{table: "policy.messageid", text: `date_old = ‸"15"`, want: `policy.messageid.date_old: must be a whole number without quotes, not a text`},
		{table: "policy.messageid", text: `except_senders = ‸["example.com", "@"]`,
			want: `policy.messageid.except_senders: "@" is no domain; write example.com`},
		{table: "policy.nobody", text: `action = ‸"drop"`, want: `policy.nobody.action: "drop" is no action of this policy: write deny or freeze`},
		{table: "policy.dictionary", text: `spread_ratio = ‸0`, want: `policy.dictionary.spread_ratio: must be above 0 and at most 1, like 0.5`},
		{table: "policy.dictionary", text: `traps = ‸["trap@example.com", "abuse@example.com"]`,
			want: `policy.dictionary.traps: "abuse@example.com" is an address that everybody must be able to write to`},
		{table: "policy.auth", text: `failures = ‸0`, want: `policy.auth.failures: must be 1 to 1000`},
		{table: "policy.nobody", text: `allow_dirs = ‸["home"]`,
			want: `policy.nobody.allow_dirs: "home" is no clean absolute path; write /home/site/public_html`},
		{table: "policy.helo", text: `providers = ‸["google.com", "yahoo"]`, want: `policy.helo.providers: "yahoo" is no domain; write those of one provider`},
		{table: "policy.ptr", text: `mode = ‸"deny"`, want: `policy.ptr.mode: "deny" is no mode: off, observe or enforce`},
		{table: "policy.rbl", text: `threshold = ‸4.95`, want: `policy.rbl.threshold: must be 0.1 to 100 with one decimal at most, like 5.0`},
		{table: "policy.rbl", text: `names = ‸["helo", "mx"]`, want: `policy.rbl.names: "mx" is none of helo, sender and ptr`},
		{table: "policy.rbl", text: `name_zones = ‸["dbl.spamhaus.org", "zen.spamhaus.org=127.0.0.2*5"]`,
			want: `policy.rbl.name_zones: zen.spamhaus.org=127.0.0.2*5 lists addresses: write it into zones`},
		{table: "policy.helo.rules", text: `H8 = ‸"of"`, want: `policy.helo.rules.H8: "of" is no mode: off, observe or enforce`},
		{table: "policy.helo.rules", text: `H9 = ‸{}`, want: `policy.helo.rules.H9: must be a text in quotes, not a table`},
		{table: "policy.messageid.rules", text: `M1 = ‸"never"`, want: `policy.messageid.rules.M1: "never" is no mode: off, observe or enforce`},
		{table: "policy.extra", text: `flag = ‸"yes"`, want: `policy.extra.flag: must be true or false, without quotes, not a text`},
		{table: "policy.extra", text: `count = ‸101`, want: `policy.extra.count: must be 0 to 100`},
		{table: "policy.extra", text: `small = ‸256`, want: `policy.extra.small: 256 is out of range`},
		{table: "policy.extra", text: `share = ‸true`, want: `policy.extra.share: must be a number without quotes, not true or false`},
		{table: "policy.extra", text: `worst = ‸"bad"`, want: `policy.extra.worst: "bad" is no mode: off, observe or enforce`},
		{table: "policy.extra", text: `wait = ‸"5 minutes"`, want: `policy.extra.wait: "5 minutes" is no duration: write one like 90s or 1h30m`},
		{table: "policy.extra", text: `ports = [25, ‸99999999999999999999]`, want: `policy.extra.ports: 99999999999999999999 is out of range`},
		{table: "policy.extra", text: `words = ["a", ‸[{}]]`, want: `policy.extra.words: must be a text in quotes, not a list`},
	}
}

// Items of lists.
func itemSeeds() []seed {
	return []seed{
		{table: "listen", list: "peers", text: `‸"mail user"`,
			want: `listen.peers: "mail user" has a character that no name has: write the name of a user or a uid`},
		{table: "listen", list: "peers", text: `‸4294967295`, want: `listen.peers: "4294967295" is no uid: write 0 to 4294967294`},
		{table: "listen", list: "peers", text: `‸0x10`, want: `listen.peers: "0x10" is no uid: write 0 to 4294967294`},
		{table: "listen", list: "peers", text: `‸"-1"`, want: `listen.peers: "-1" is no uid: write 0 to 4294967294`},
		{table: "listen", list: "peers", text: `"mail", ‸"mail"`, want: `listen.peers: mail is in the list already, line `},
		{table: "listen", list: "peers", text: `‸""`, want: `listen.peers: is empty: write the name of a user or a uid`},
		{table: "own", list: "names", text: `‸"192.0.2.1"`, want: `own.names: "192.0.2.1" is an address: write it into own.addresses`},
		{table: "own", list: "names", text: `‸"mail..example.com"`,
			want: `own.names: "mail..example.com" is no host name: write one like mail.example.com`},
		{table: "own", list: "addresses", text: `‸"192.0.2.0/24"`, want: `own.addresses: "192.0.2.0/24" is a network: write an address like "192.0.2.0"`},
		{table: "own", list: "addresses", text: `‸12:30:00`, want: `own.addresses: must be a text in quotes, not a time of day`},
		{table: "own", list: "addresses", text: `‸"::"`, want: `own.addresses: "::" is every address: write []`},
		{table: "own", list: "addresses", text: `"192.0.2.1", ‸"::ffff:192.0.2.1"`, want: `own.addresses: 192.0.2.1 is in the list already, line `},
		{table: "own", list: "names", text: `‸"*.example.com"`, want: `own.names: "*.example.com" has a star: write "example.com"`},
		{table: "own", list: "names", text: `‸"me@example.com"`, want: `own.names: "me@example.com" is no host name: write what stands after the @`},
		{table: "own", list: "addresses", text: `‸"192.0.2.256"`,
			want: `own.addresses: "192.0.2.256" is no address: write one like 192.0.2.1 or 2001:db8::1`},
		{table: "dns", list: "servers", text: `‸"localhost"`, want: `dns.servers: "localhost" is a name, and a server is needed to look up names: write its address`},
		{table: "dns", list: "servers", text: `‸"dns.example.com:53"`, want: `dns.servers: "dns.example.com" is a name, and a server is needed`},
		{table: "dns", list: "servers", text: `‸"https://dns.example.com/dns-query"`, want: `dns.servers: "https://dns.example.com/dns-query" is a URL, and servers are asked ` +
			`over plain UDP and TCP: write one like 127.0.0.1 or 127.0.0.1:5353 or [2001:db8::1]:53`},
		{table: "dns", list: "servers", text: `‸"tcp://192.0.2.53"`, want: `dns.servers: "tcp://192.0.2.53" is a URL`},
		{table: "dns", list: "servers", text: `‸"192.0.2.53:0"`, want: `dns.servers: "192.0.2.53:0" has port 0: write 1 to 65535, or none for 53`},
		{table: "dns", list: "servers", text: `‸"[2001:db8::2]:0"`, want: `dns.servers: "[2001:db8::2]:0" has port 0: write 1 to 65535, or none for 53`},
		{table: "dns", list: "servers", text: `‸"192.0.2.53:65536"`, want: `dns.servers: "192.0.2.53:65536" has no port: behind the last colon write 1 to 65535`},
		{table: "dns", list: "servers", text: `‸"192.0.2.53:domain"`, want: `dns.servers: "192.0.2.53:domain" has no port: behind the last colon write 1 to 65535`},
		{table: "dns", list: "servers", text: `‸"192.0.2.53:"`, want: `dns.servers: "192.0.2.53:" is no server: write "192.0.2.53"`},
		{table: "dns", list: "servers", text: `‸"192.0.2.53#5353"`, want: `dns.servers: "192.0.2.53#5353" is no server: write "192.0.2.53:5353"`},
		{table: "dns", list: "servers", text: `‸"2001:db8::5#5353"`, want: `dns.servers: "2001:db8::5#5353" is no server: write "[2001:db8::5]:5353"`},
		{table: "dns", list: "servers", text: `‸"[2001:db8::3]"`, want: `dns.servers: "[2001:db8::3]" is no server: write "2001:db8::3"`},
		{table: "dns", list: "servers", text: `‸"192.0.2.0/24"`, want: `dns.servers: "192.0.2.0/24" is no server: write one like 127.0.0.1 or`},
		{table: "dns", list: "servers", text: `‸""`, want: `dns.servers: "" is no server: write one like 127.0.0.1 or`},
		{table: "dns", list: "servers", text: `‸"fe80::1%eth0"`, want: `dns.servers: "fe80::1%eth0" has a zone: write an address that needs none`},
		{table: "dns", list: "servers", text: `‸"0.0.0.0"`, want: `dns.servers: "0.0.0.0" is every address: write 127.0.0.1`},
		{table: "dns", list: "servers", text: `‸"[::]:53"`, want: `dns.servers: "[::]:53" is every address: write ::1`},
		{table: "dns", list: "servers", text: `‸"224.0.0.251"`, want: `dns.servers: "224.0.0.251" is no address of one server`},
		{table: "dns", list: "servers", text: `‸53`, want: `dns.servers: must be a text in quotes, not a number`},
		{table: "dns", list: "servers", text: `"192.0.2.54", ‸"::ffff:192.0.2.54"`, want: `dns.servers: 192.0.2.54:53 is in the list already, line `},
		{table: "dns", list: "servers", text: `"2001:db8::4", ‸"[2001:db8::4]:53"`, want: `dns.servers: [2001:db8::4]:53 is in the list already, line `},
		{table: "policy.rbl", list: "zones", text: `‸"zen.spamhaus.org=127.0.0.[2..11*5"`,
			want: `policy.rbl.zones: zen.spamhaus.org: codes "127.0.0.[2..11": a bracket is not closed`},
		{table: "policy.rbl", list: "zones", text: `‸"one.test=127.0.0.256"`, want: `policy.rbl.zones: one.test: codes "127.0.0.256": octet "256": write `},
		{table: "policy.rbl", list: "zones", text: `‸"one.test*2.55"`, want: `policy.rbl.zones: one.test: weight "2.55": write a number from `},
		{table: "policy.rbl", list: "zones", text: `‸"dnsbl.sorbs.net"`, want: `policy.rbl.zones: dnsbl.sorbs.net is dead: its owner emptied it in June 2024; leave it out`},
		{table: "policy.rbl", list: "zones", text: `"bl.spamcop.net=127.0.0.2*2", ‸"BL.SpamCop.net.=127.0.0.2*3"`,
			want: `policy.rbl.zones: bl.spamcop.net=127.0.0.2 is in the list already, line `},
		{table: "policy.rbl", list: "zones", text: `"two.test", ‸"two.test*3"`, want: `policy.rbl.zones: two.test is in the list already, line `},
		{table: "policy.rbl", list: "zones", text: `‸"0123456789abcdefghijklmnop.zen.dq.spamhaus.net=127.0.0.[2"`,
			want: `policy.rbl.zones: ***.zen.dq.spamhaus.net: codes "127.0.0.[2": a bracket is not closed`},
		{table: "policy.rbl", list: "zones", text: `"0123456789abcdefghijklmnop.xbl.dq.spamhaus.net", ‸"0123456789ABCDEFGHIJKLMNOP.xbl.dq.spamhaus.net*2"`,
			want: `policy.rbl.zones: ***.xbl.dq.spamhaus.net is in the list already, line `},
		{table: "policy.rbl", list: "zones", text: `‸5`, want: `policy.rbl.zones: must be a text in quotes, not a number`},
		{table: "exempt", list: "relay", text: `‸"192.0.2.1/24"`, want: `exempt.relay: "192.0.2.1/24" has bits after its /24: write "192.0.2.0/24"`},
		{table: "exempt", list: "relay", text: `‸"198.51.100.0/33"`, want: `exempt.relay: "198.51.100.0/33" is no network: after the / write 0 to 32`},
		{table: "exempt", list: "relay", text: `‸"2001:db8::/129"`, want: `exempt.relay: "2001:db8::/129" is no network: after the / write 0 to 128`},
		{table: "exempt", list: "relay", text: `‸192`, want: `exempt.relay: must be a text in quotes, not a number`},
		{table: "exempt", list: "allow", text: `‸"mail.example.com"`,
			want: `exempt.allow: "mail.example.com" is no address or network: write one like 192.0.2.1 or 192.0.2.0/24`},
		{table: "exempt", list: "allow", text: `‸"fe80::1%eth0"`, want: `exempt.allow: "fe80::1%eth0" has a zone: write "fe80::1"`},
		{table: "exempt", list: "allow", text: `‸"0177.0.0.1"`,
			want: `exempt.allow: "0177.0.0.1" is no address or network: write one like 192.0.2.1 or 192.0.2.0/24`},
		{table: "exempt", list: "deny", text: `"203.0.113.0/24", ‸"::ffff:203.0.113.0/120"`,
			want: `exempt.deny: 203.0.113.0/24 is in the list already, line `},
		{table: "exempt", list: "submission_ports", text: `‸65536`, want: `exempt.submission_ports: 65536 is no port: write 1 to 65535`},
		{table: "exempt", list: "submission_ports", text: `‸"587"`,
			want: `exempt.submission_ports: must be a port number without quotes, not a text`},
	}
}

// Lines that are no TOML.
func syntaxSeeds() []seed {
	return []seed{
		{table: "policy.helo.rules", text: `H1 = ‸off`, want: `policy.helo.rules.H1: a text needs quotes: write "off"`},
		{table: "policy.helo.rules", text: `H2 = ‸"off`, want: `policy.helo.rules.H2: a text without its closing quote`},
		{table: "policy.helo.rules", text: `H3 = ‸'off" # this`, want: `policy.helo.rules.H3: a text without its closing quote`},
		{table: "policy.helo.rules", text: `H5 ‸"off"`, want: `expected '=' after key`},
		{table: "policy.helo.rules", text: `‸H6 =`, want: `policy.helo.rules.H6: has no value`},
		{table: "policy.helo.rules", text: `‸H7 = # off`, want: `policy.helo.rules.H7: has no value`},
		{table: "policy.helo.rules", text: `H10 = "off" ‸"observe"`, want: `policy.helo.rules.H10: expected newline but got U+0022 '"'`},
		{table: "policy.helo.rules", text: `H13 = "‸\q"`, want: `policy.helo.rules.H13: invalid escape character U+0071 'q'`},
		{table: "policy.helo.rules", text: `H14 = ‸["off",`, want: `policy.helo.rules.H14: this [ is never closed`},
		{table: "policy.helo.rules", text: "H17 = ‸\"\"\"off\"", want: `policy.helo.rules.H17: these long quotes are never closed`},
		{table: "policy.messageid.rules", text: `M2 = ‸{a = "off"`, want: `policy.messageid.rules.M2: this { is never closed`},
		{table: "policy.messageid.rules", text: "M3 = [\n  \"a\",\n  \"b\"\n  ‸\"c\",\n]", want: `policy.messageid.rules.M3: expected ',' or ']' after array value`},
		{table: "policy.messageid.rules", text: "M4 = {\n  a = \"b\"\n  ‸c = \"d\",\n}", want: `policy.messageid.rules.M4: expected ',' or '}' after inline table key-value`},
		{table: "policy.messageid.rules", text: `M5 = ‸10.0.0.0/8`, want: `policy.messageid.rules.M5: a text needs quotes: write "10.0.0.0/8"`},
		{table: "policy.messageid.rules", text: `‸= "off"`, want: `invalid character at start of key: U+003D '='`},
		{table: "policy.messageid.rules", text: "# a comment in Latin-1: ‸\xfc", want: `a byte that is not UTF-8: save the file as UTF-8`},
		{table: "policy.messageid.rules", text: `M8 = [[[[[[[[[[[[[[[[‸[]]]]]]]]]]]]]]]]]`, want: `policy.messageid.rules.M8: brackets more than 16 deep`},
	}
}

// Headers, and what is given twice.
func tableSeeds() []seed {
	return []seed{
		{table: whole, text: "[‸lissten]\nsocket = \"/run/x.sock\"\n", want: `lissten: unknown table, did you mean listen`},
		{table: whole, text: "[policy.‸messageId]\nmode = \"off\"\n", want: `policy.messageId: unknown table, did you mean messageid`},
		{table: whole, text: "[‸helo]\nmode = \"off\"\n", want: `helo: unknown table here: write [policy.helo]`},
		{table: whole, text: "[policy.‸spf]\n[policy.spf.zones]\na = 1\n", want: `policy.spf: unknown table: here are nobody, helo, dictionary, ptr, rbl, messageid, auth, origin, extra`},
		{table: whole, text: "‸[[policy]]\n", want: `policy: two brackets make a list of tables: write [policy]`},
		{table: whole, text: "[policy.extra.‸ages]\n", want: `policy.extra.ages: must be a list, not a table`},
		{table: whole, text: "[policy.extra.rules]\nX1 = \"off\"\n[policy.extra.‸rules]\nX2 = \"off\"\n",
			want: `policy.extra.rules: is given already in line `},
		{table: "policy.messageid", text: "mode = \"off\"\n‸mode = \"off\"", want: `policy.messageid.mode: is given already in line `},
		{table: "policy.extra", text: `‸mode.a.b = "off"`, want: `policy.extra.mode: must be a text in quotes, not a table`},
		{table: whole, text: "‸[log\nlevel = \"warn\"\n", want: `this header is never closed`},
		{table: whole, text: "[own]‸]\nnames = []\n", want: `expected newline but got U+005D ']'`},
	}
}
