package test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"eximpolicyd/test/rig"
)

// wireNames are the protocol's, in their order: a second reading of package
// acl's description, on purpose, since a checker that shares code with what it
// checks agrees with its mistakes.
const wireNames = `request v protocol_state instance client_address client_port server_address server_port
	proxy_local_address proxy_local_port protocol_name server_name primary_hostname helo_name ident uid cwd sasl_method
	sasl_username auth_fail_id command_history tls_cipher relay_host sender recipient remote_count remote_first rcpt_verify
	rcpt_verify_failure rcpt_count rcpt_fail_count recipient_count size queue_id msgid_present date_present from_present
	msgid_count date_count from_count msgid msgid_size date from list_id spam_score smtp_count notquit_reason tag`

var wireLine = regexp.MustCompile(`(?s)^([a-z_]+)=([A-Za-z0-9_.-]+|"(?:\\[\\"nr]|[^\\"\n\r])*")$`)

// strict reads a request as the protocol says and not one byte more kindly:
// every name once and in order, every value bare or quoted, one empty line at
// the end and nothing after it.
func strict(request []byte) (map[string]string, error) {
	text, ok := strings.CutSuffix(string(request), "\n\n")
	if !ok {
		return nil, errors.New("no empty line at the end")
	}
	if len(request) > 64<<10 {
		return nil, fmt.Errorf("%d bytes", len(request))
	}
	names := strings.Fields(wireNames)
	lines := strings.Split(text, "\n")
	if len(lines) != len(names) {
		return nil, fmt.Errorf("%d lines for %d names", len(lines), len(names))
	}
	values := map[string]string{}
	unquote := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\r`, "\r")
	for i, line := range lines {
		m := wireLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %q", line)
		}
		if m[1] != names[i] {
			return nil, fmt.Errorf("line %d is %s, want %s", i+1, m[1], names[i])
		}
		value := m[2]
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			value = unquote.Replace(strings.TrimSuffix(inner, `"`))
		}
		values[m[1]] = value
	}
	if values["request"] != "exim_acl" || values["v"] != "1" {
		return nil, fmt.Errorf("begins with request=%s v=%s", values["request"], values["v"])
	}
	return values, nil
}

// likeTheDaemon answers as the real one answers a request it cannot read: it
// says so and has no opinion.
func likeTheDaemon(request []byte) rig.Act {
	if request == nil {
		return rig.Act{}
	}
	if _, err := strict(request); err != nil {
		return rig.Whole(fmt.Sprintf(`action=dunno note="malformed: %q"`, regexp.MustCompile(`[^ -~]|["\\]`).ReplaceAllString(err.Error(), ".")))
	}
	return rig.Dunno()
}

// asked reads every request so far with the strict checker and returns those of a stage.
func asked(t *testing.T, f *rig.Fake, stage string) []map[string]string {
	t.Helper()
	var list []map[string]string
	for _, r := range f.Requests() {
		values, err := strict(r)
		if err != nil {
			t.Fatalf("malformed request: %v\n%q", err, r)
		}
		if values["protocol_state"] == stage {
			list = append(list, values)
		}
	}
	return list
}

// last is the newest request of a stage.
func last(t *testing.T, f *rig.Fake, stage string) map[string]string {
	t.Helper()
	list := asked(t, f, stage)
	if len(list) == 0 {
		t.Fatalf("never asked at %s", stage)
	}
	return list[len(list)-1]
}

// atStage answers act at one stage and has no opinion elsewhere.
func atStage(stage string, act rig.Act) rig.Script {
	return func(request []byte) rig.Act {
		if strings.Contains(string(request), "\nprotocol_state="+stage+"\n") {
			return act
		}
		return rig.Dunno()
	}
}
