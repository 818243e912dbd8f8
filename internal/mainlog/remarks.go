package mainlog

import "strings"

// remark names what Exim writes that tells of no client, by its start or, where a name comes first, by words within.
func remark(s string) Kind {
	if s == "" {
		return Written
	}
	for i := range remarks {
		if r := &remarks[i]; r.words[0] == s[0] && strings.HasPrefix(s, r.words) {
			return r.kind
		}
	}
	for i := range within {
		if strings.Contains(s, within[i].words) {
			return within[i].kind
		}
	}
	return Unknown
}

type remarkWords struct {
	words string
	kind  Kind
}

var remarks = [...]remarkWords{
	{"Start queue run", QueueRun},
	{"End queue run", QueueRun},
	{"Start '", QueueRun},
	{"End '", QueueRun},
	{"Start ODMR", QueueRun},
	{"End ODMR", QueueRun},
	{"cwd=", CommandLine},
	{"Completed", Completed},
	{"Frozen", Frozen},
	{"frozen ", Frozen},
	{"Message is frozen", Frozen},
	{"Unfrozen", Unfrozen},
	{"unfrozen ", Unfrozen},
	{"removed by ", Removed},
	{"cancelled by ", Removed},
	{"sender address changed", Removed},
	{"no immediate delivery", Queued},
	{"moved from ", Queued},
	{"using queue", Written},
	{"exim ", Daemon},
	{"daemon: ", Daemon},
	{"pid ", Daemon},
	{"SIGHUP received", Daemon},
	{"listen backlog", Daemon},
	{"Daemon cannot", Daemon},
	{"socket bind() to port", Daemon},
	{"bind of ", SystemTrouble},
	{"Failed to create IPv6 socket", Daemon}, // before other failures
	{"DNS list lookup", ListDefer},
	{"recipient verify defer", LookupDefer},
	{"sender verify defer", LookupDefer},
	{"host lookup", LookupDefer},
	{"remote host address is the local host", LookupDefer},
	{"lowest numbered MX record points to local host", LookupDefer},
	{"no IP address found for host", LookupDefer},
	{"all relevant MX records", LookupDefer},
	{"retry time not reached", DeliveryDeferred},
	{"Spool file", MessageTrouble},
	{"spool file", MessageTrouble},
	{"spool directory space", SystemTrouble},
	{"qualify/rewrite:", MessageTrouble},
	{"Error while ", MessageTrouble},
	{"Error in system filter", MessageTrouble},
	{"error in forward file", MessageTrouble},
	{"failed to read delivery status", MessageTrouble},
	{"no recipients found in headers", MessageTrouble},
	{"verify header_syntax", Written},
	{"SMTP error from remote", RemoteTrouble},
	{"LMTP error", RemoteTrouble},
	{"Remote host closed connection", RemoteTrouble},
	{"peer close after all rcpt responses", RemoteTrouble},
	{"H=", Unknown},
	{"TLS session", TLSNote},
	{"TLS error", TLSNote},
	{"(SSL_", TLSNote},
	{"SSL ", TLSNote},
	{"expansion of tls_", ConfigTrouble},
	{"DKIM", DKIMNote},
	{"PDKIM", DKIMNote},
	{"Warning: ", ConfigTrouble},
	{"configured error code", ConfigTrouble},
	{"failed to expand", ConfigTrouble},
	{"failed to open", ConfigTrouble},
	{"Failed to ", ConfigTrouble},
	{"WARNING: ", ConfigTrouble},
	{"bounce_message_file", ConfigTrouble},
	{"invalid message_size_limit", ConfigTrouble},
	{"invalid value for", ConfigTrouble},
	{"ACL ", ConfigTrouble},
	{`"discard" verb`, ConfigTrouble},
	{"EHLO/HELO response", ConfigTrouble},
	{"Tainted ", ConfigTrouble},
	{"tainted ", ConfigTrouble},
	{"attempt to ", ConfigTrouble},
	{"User 0 set for", ConfigTrouble},
	{"exec of ", SystemTrouble},
	{"unable to set gid", SystemTrouble},
	{"Child mail process", SystemTrouble},
	{"event ", EventNote},
	{"<|", TransportOutput},
}

var within = [...]remarkWords{
	{"error ignored", ErrorIgnored},
	{"SSL verify error", TLSNote},
	{" transport output: ", TransportOutput},
	{" transport process returned", MessageTrouble},
	{" router: skipped error", MessageTrouble},
	{"failed to expand for ", ConfigTrouble},
	{" daemon started", Daemon},
	{" authenticator (", ConfigTrouble},
	{" authenticator failed H=", RemoteTrouble},
	{" authenticator cancelled authentication H=", RemoteTrouble},
	{"temporarily rejected ATRN", RemoteTrouble},
}
