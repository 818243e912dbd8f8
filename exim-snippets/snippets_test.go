package eximsnippets

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// protocolNames is the "Request" list of package acl's description, in its order.
const protocolNames = `request v
	protocol_state instance
	client_address client_port server_address server_port proxy_local_address proxy_local_port protocol_name
	server_name primary_hostname helo_name ident uid cwd sasl_method sasl_username auth_fail_id command_history tls_cipher
	relay_host sender recipient remote_count remote_first rcpt_verify rcpt_verify_failure rcpt_count rcpt_fail_count
	recipient_count size queue_id msgid_present date_present from_present msgid_count date_count from_count msgid msgid_size
	date from list_id spam_score smtp_count notquit_reason tag`

func render(t *testing.T, flavour string) []File {
	t.Helper()
	files, err := Render(flavour, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// whole is all text of a flavour, comments taken out.
func whole(t *testing.T, flavour string) string {
	t.Helper()
	var b strings.Builder
	for _, f := range render(t, flavour) {
		for line := range strings.Lines(f.Text) {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// request is the lines of the request as a flavour holds them, name and value.
func request(t *testing.T, flavour string) [][2]string {
	t.Helper()
	text := whole(t, flavour)
	_, text, ok := strings.Cut(text, "request=exim_acl")
	if !ok {
		t.Fatal("no request")
	}
	if strings.Contains(text, "request=exim_acl") {
		t.Error("a second copy of the request")
	}
	text, _, ok = strings.Cut("request=exim_acl"+text, `\n\n`)
	if !ok {
		t.Fatal("the request has no empty line at its end")
	}
	text = strings.ReplaceAll(text, "\\\n", "")
	var pairs [][2]string
	for line := range strings.SplitSeq(text, `\n`) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		pairs = append(pairs, [2]string{name, value})
	}
	return pairs
}

func TestTheRequestNamesAreThoseOfTheProtocol(t *testing.T) {
	for _, flavour := range All() {
		var got []string
		for _, p := range request(t, flavour) {
			got = append(got, p[0])
		}
		if diff := cmp.Diff(strings.Fields(protocolNames), got); diff != "" {
			t.Errorf("%s (-protocol +snippet):\n%s", flavour, diff)
		}
		if len(got) > 64 {
			t.Errorf("%s: %d names, the daemon reads 64", flavour, len(got))
		}
	}
}

// lengths of the values that are not cut at 256.
var longer = map[string]int{"helo_name": 300, "sender": 600, "recipient": 600, "remote_first": 600, "cwd": 1024,
	"msgid": 2100, "date": 998, "from": 998, "list_id": 998}

// bare matches what Exim itself makes and what is never empty: numbers, and 0 or 1.
var bare = regexp.MustCompile(`^(exim_acl|1|0|\$acl_arg1|\$pid|\$sender_host_port|\$received_port|\$proxy_local_port|` +
	`EXIMPOLICYD_VIA_PORT|\$originator_uid|\$acl_m_eximpolicyd_relay|\$rcpt_count|\$rcpt_fail_count|\$recipients_count|` +
	`\$message_size|\$smtp_count_at_connection_start|\$\{if def:h_[a-z-]+: \{1\}\{0\}\}|` +
	`\$\{listcount:<: \$lh_[a-z-]+:\}|\$\{strlen:\$rh_message-id:\})$`)

var quoted = regexp.MustCompile(`^\$\{quote:\$\{length_([0-9]+):.*\}\}$`)

func TestEveryValueIsQuotedAndCutInsideTheQuoteUnlessItIsANumber(t *testing.T) {
	for _, flavour := range All() {
		size := len("\n")
		for _, p := range request(t, flavour) {
			name, value := p[0], p[1]
			size += len(name) + len("=\n")
			if bare.MatchString(value) {
				size += 20 // a 64-bit number, signed
				continue
			}
			m := quoted.FindStringSubmatch(value)
			if m == nil {
				t.Errorf("%s: %s=%s is neither a number nor ${quote:${length_N:", flavour, name, value)
				continue
			}
			want := 256
			if n, ok := longer[name]; ok {
				want = n
			}
			if m[1] != strconv.Itoa(want) {
				t.Errorf("%s: %s is cut at %s, want %d", flavour, name, m[1], want)
			}
			size += 2 + 2*want // every byte may need a backslash
		}
		if size >= 64<<10 {
			t.Errorf("%s: the largest request is %d bytes, the daemon reads 65536", flavour, size)
		}
		t.Logf("%s: largest request %d bytes", flavour, size)
	}
}

func TestTheFailStringIsItselfACall(t *testing.T) {
	// Byte for byte: without the inner call a daemon that is down makes Exim write requests into its log.
	for flavour, want := range map[string]string{
		"stock": "EXIMPOLICYD_ASK = ${readsocket{EXIMPOLICYD_SOCKET}{EXIMPOLICYD_REQUEST}{EXIMPOLICYD_TIMEOUT}{ }\\\n" +
			"  {${readsocket{EXIMPOLICYD_SOCKET}{reset}{1s}{ }{}}}}\n",
		"debian-split": "EXIMPOLICYD_ASK = ${readsocket{EXIMPOLICYD_SOCKET}{EXIMPOLICYD_REQUEST}{EXIMPOLICYD_TIMEOUT}{ }\\\n" +
			"  {${readsocket{EXIMPOLICYD_SOCKET}{reset}{1s}{ }{}}}}\n",
		"cpanel": "EXIMPOLICYD_ASK = ${readsocket{EXIMPOLICYD_SOCKET}{EXIMPOLICYD_REQUEST}{EXIMPOLICYD_TIMEOUT}{ }\\\n" +
			"  {${readsocket{EXIMPOLICYD_SOCKET}{reset}{1s}{ }{}}}}\n",
		"directadmin":    "\\n\\n}{3s}{ }\\\n  {${readsocket{/run/eximpolicyd/policy.sock}{reset}{1s}{ }{}}}}",
		"debian-unsplit": "\\n\\n}{3s}{ }\\\n  {${readsocket{/run/eximpolicyd/policy.sock}{reset}{1s}{ }{}}}}",
	} {
		if !strings.Contains(whole(t, flavour), want) {
			t.Errorf("%s lacks %q", flavour, want)
		}
	}
}

func TestNoTextAcceptsDiscardsOrUsesAnAnswerAsAName(t *testing.T) {
	field := regexp.MustCompile(`\$\{extract\{[a-z]+\}\{\$acl_m_eximpolicyd\}`)
	allowed := regexp.MustCompile(`^\s*(warn |deny |defer |drop )?\s*` +
		`(condition|message|log_message|logwrite|add_header|control|delay|set acl_[cm]_eximpolicyd_tag)\s*=`)
	for _, flavour := range All() {
		for line := range strings.Lines(whole(t, flavour)) {
			if strings.Contains(line, "discard") {
				t.Errorf("%s: discard: %s", flavour, line)
			}
			if field.MatchString(line) && !allowed.MatchString(line) {
				t.Errorf("%s: an answer's field where it is not text: %s", flavour, line)
			}
			for _, word := range []string{"acl", "hosts", "domains", "verify", "readfile", "lookup", "run{", "dlfunc"} {
				before, after, ok := strings.Cut(line, word)
				if ok && strings.TrimSpace(before) == "" && strings.Contains(after, "extract") {
					t.Errorf("%s: an answer's field as a name: %s", flavour, line)
				}
			}
		}
	}
}

func TestTheACLIsCalledOnlyByRequireAndWarn(t *testing.T) {
	call := regexp.MustCompile(`\bacl\s*=\s*(eximpolicyd|/\S+/policy\.acl) ([A-Z_]+)\n`)
	start := regexp.MustCompile(`(?m)^\s*(accept|require|warn|deny|defer|drop|discard)\b`)
	want := map[string]string{"CONNECT": "require", "HELO": "require", "MAIL": "require", "RCPT": "require",
		"DATA": "require", "NOT_SMTP": "require", "QUIT": "warn", "NOTQUIT": "warn"}
	for _, flavour := range All() {
		text, got := whole(t, flavour), map[string]string{}
		for _, m := range call.FindAllStringSubmatchIndex(text, -1) {
			verbs := start.FindAllStringSubmatch(text[:m[1]], -1)
			got[text[m[4]:m[5]]] = verbs[len(verbs)-1][1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: stage and verb (-want +got):\n%s", flavour, diff)
		}
	}
}

func TestNoMacroNameIsPartOfAnother(t *testing.T) {
	text, err := shared("macros")
	if err != nil {
		t.Fatal(err)
	}
	table := parseMacros(text, nil)
	for _, a := range table {
		for _, b := range table {
			if a.name != b.name && strings.Contains(a.name, b.name) {
				t.Errorf("Exim would replace %s inside %s", b.name, a.name)
			}
		}
	}
}

func TestFilesWithoutMacrosHoldNone(t *testing.T) {
	left := regexp.MustCompile(`EXIMPOLICYD_|@[A-Z_]+@|\.ifdef|\$spam_score`)
	for _, f := range append(render(t, "debian-unsplit"), render(t, "directadmin")...) {
		if m := left.FindString(f.Text); m != "" {
			t.Errorf("%s: %q is left", f.Name, m)
		}
	}
	for _, flavour := range All() {
		for _, f := range render(t, flavour) {
			if m := regexp.MustCompile(`@[A-Z_]+@`).FindString(f.Text + strings.ReplaceAll(f.Place, `line "@`, "")); m != "" {
				t.Errorf("%s %s: mark %q is left", flavour, f.Name, m)
			}
		}
	}
}

func TestEveryFileOpensAsItsOwnManualPage(t *testing.T) {
	for _, flavour := range All() {
		for _, f := range render(t, flavour) {
			base := f.Name[strings.LastIndex(f.Name, "/")+1:]
			if !strings.HasPrefix(f.Text, "# "+base+" - ") {
				t.Errorf("%s %s does not open with its name and purpose", flavour, f.Name)
			}
			if !strings.Contains(f.Text, "touch /run/eximpolicyd/bypass\n") {
				t.Errorf("%s %s does not say how it is switched off", flavour, f.Name)
			}
			if f.Place == "" {
				t.Errorf("%s %s: nobody knows where it goes", flavour, f.Name)
			}
		}
	}
}

func TestOurHeadersFromOutsideGoBeforeOursAreAdded(t *testing.T) {
	for _, flavour := range All() {
		text := whole(t, flavour)
		added := strings.Index(text, "add_header  =")
		for _, ours := range []string{"X-Eximpolicyd : X-Eximpolicyd-Origin", "X-Source : X-Source-Dir : X-Source-Args"} {
			if gone := strings.Index(text, "remove_header = "+ours+"\n"); gone < 0 || added < gone {
				t.Errorf("%s: %s removed at %d, added at %d", flavour, ours, gone, added)
			}
		}
	}
}

// What cPanel's builder does to text in its sections and blocks, none of ours may invite.
func TestNoTextOfCPanelHasAWordThatItsBuilderRewrites(t *testing.T) {
	forbidden := regexp.MustCompile(`verify\s*=\s*sender|senderverifybypass|sender/callout|(?m)^\s*spam\s*=|malware|\[\s*%|\[@`)
	option := regexp.MustCompile(`^\.include /\S+$`)
	for _, f := range render(t, "cpanel") {
		if m := forbidden.FindString(f.Text); m != "" {
			t.Errorf("%s: %q", f.Name, m)
		}
		if strings.HasPrefix(f.Name, "exim.conf.local.") {
			for line := range strings.Lines(f.Text) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && !option.MatchString(line) {
					t.Errorf("%s: the builder would take this for an option of the panel's: %s", f.Name, line)
				}
			}
		}
		if name, is := strings.CutPrefix(f.Name, "acls/"); is {
			block, file, _ := strings.Cut(name, "/")
			if !strings.HasPrefix(block, "ACL_") || !strings.HasPrefix(file, "custom_") || !strings.Contains(f.Place, "acl_"+file+"=1") {
				t.Errorf("%s is switched on by: %s", f.Name, f.Place)
			}
		}
	}
}

func TestEveryFlavourSaysWhatIsDoneAfterItsFilesAreInPlace(t *testing.T) {
	for _, flavour := range All() {
		steps := Steps(flavour, "/opt/x")
		if len(steps) < 2 || strings.Contains(strings.Join(steps, ""), "@DIR@") {
			t.Errorf("%s: %q", flavour, steps)
		}
	}
	if Steps("postfix", "") != nil {
		t.Error("steps for a flavour that does not exist")
	}
}
