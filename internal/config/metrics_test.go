package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestMetricsAreServedOnASocketOrOnLoopbackOnly(t *testing.T) {
	const password = " of this machine, and what others can read needs a password: write \"127.0.0.1:9925\", and let a web server with TLS and a password pass it on"
	const remote = " is not on loopback, and what others can read needs a password: write \"127.0.0.1:9925\", and let a web server with TLS and a password pass it on"
	for listen, want := range map[string]string{
		"192.0.2.1:9925":                        `"192.0.2.1:9925"` + remote,
		"0.0.0.0:9925":                          `"0.0.0.0:9925"` + remote,
		"[::]:9925":                             `"[::]:9925"` + remote,
		"[2001:db8::1]:9925":                    `"[2001:db8::1]:9925"` + remote,
		"10.0.0.1:9925":                         `"10.0.0.1:9925"` + remote,
		":9925":                                 `":9925" is every address` + password,
		"*:9925":                                `"*:9925" is every address` + password,
		"localhost:9925":                        `"localhost:9925" is a name: write "127.0.0.1:9925"`,
		"127.0.0.1":                             `"127.0.0.1" has no port: behind the last colon write 1 to 65535`,
		"127.0.0.1:":                            `"127.0.0.1:" has no port: behind the last colon write 1 to 65535`,
		"127.0.0.1:0":                           `"127.0.0.1:0" has port 0: write 1 to 65535`,
		"127.0.0.1:65536":                       `"127.0.0.1:65536" has no port: behind the last colon write 1 to 65535`,
		"127.0.0.1:http":                        `"127.0.0.1:http" has no port: behind the last colon write 1 to 65535`,
		"127.0.0.1 9925":                        `"127.0.0.1 9925" is no address with a port: write "127.0.0.1:9925"`,
		"::1:9925":                              `"::1:9925" is no address with a port: write "[::1]:9925"`,
		"[::1%lo]:9925":                         `"[::1%lo]:9925" has a zone: write an address that needs none`,
		"9925":                                  `"9925" is no place to listen: write one like unix:/run/eximpolicyd-metrics/metrics.sock or 127.0.0.1:9925`,
		"http://127.0.0.1:9925/metrics":         `"http://127.0.0.1:9925/metrics" is a URL: write one like unix:/run/eximpolicyd-metrics/metrics.sock or 127.0.0.1:9925`,
		"mail.example.com:9925":                 `"mail.example.com:9925" is no place to listen: write one like`,
		"/run/eximpolicyd-metrics/metrics.sock": `"/run/eximpolicyd-metrics/metrics.sock" is a path: write "unix:/run/eximpolicyd-metrics/metrics.sock"`,
		"unix:":                                 `is empty: write a path like /run/eximpolicyd-metrics/metrics.sock`,
		"unix:metrics.sock":                     `"metrics.sock" is no absolute path: write one like /run/eximpolicyd-metrics/metrics.sock`,
		"unix:@metrics":                         `"@metrics" is no absolute path: write one like /run/eximpolicyd-metrics/metrics.sock`,
		"unix:/run/x/":                          `"/run/x/" is not plain: write "/run/x"`,
		"unix:/" + strings.Repeat("s", 107):     `has 108 bytes, and a socket's path may have 107`,
		"unix:/run/eximpolicyd/policy.sock":     `"policy.sock" is a name that the daemon uses itself: write one like unix:/run/eximpolicyd-metrics/metrics.sock`,
		"unix:/tmp/control.sock":                `"control.sock" is a name that the daemon uses itself`,
		"unix:/run/eximpolicyd/bypass":          `"bypass" is a name that the daemon uses itself`,
	} {
		got := mistakesOf(t, `metrics.listen = "`+listen+`"`)
		if !strings.HasPrefix(got.Error(), "f.toml:1:18: metrics.listen: "+want) || len(got) != 1 {
			t.Errorf("%q: %v", listen, got)
		}
	}
	for listen, want := range map[string]Metrics{
		"":                        {},
		"127.0.0.1:9925":          {Listen: netip.MustParseAddrPort("127.0.0.1:9925")},
		"127.3.2.1:1":             {Listen: netip.MustParseAddrPort("127.3.2.1:1")},
		"[::1]:9925":              {Listen: netip.MustParseAddrPort("[::1]:9925")},
		"[::ffff:127.0.0.1]:9925": {Listen: netip.MustParseAddrPort("127.0.0.1:9925")},
		"unix:/run/eximpolicyd-metrics/metrics.sock": {Socket: "/run/eximpolicyd-metrics/metrics.sock"},
	} {
		if got := parsed(t, `metrics.listen = "`+listen+`"`).Metrics; got != want || got.Off() != (listen == "") {
			t.Errorf("%q: %+v", listen, got)
		}
	}
}
