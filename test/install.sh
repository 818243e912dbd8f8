#!/bin/sh
# Installs what the tests need and is not there; with the argument peers, what make bench-peers compares us with, too.
# Without root, or where apt-get cannot, it says what to run.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need exim4 exim4-daemon-heavy
need swaks swaks
need php php-cli
need unshare util-linux
need strace strace
need rbldnsd rbldnsd
need unbound unbound
need dig dnsutils
need nft nftables
need ipset ipset
need mandoc mandoc
need systemd-socket-activate systemd
need spamd spamd
need spamassassin spamassassin
need rspamd rspamd
need debootstrap debootstrap
need lintian lintian
need file file
need fish fish
need zsh zsh
need promtool prometheus
need curl curl
if [ "${1:-}" = peers ]; then
	need postfwd2 postfwd
	need policyd-weight policyd-weight
	need postgrey postgrey
	need greylistd greylistd
fi
if [ -x /usr/sbin/exim4 ] && ! /usr/sbin/exim4 -bV 2>/dev/null | grep -q Content_Scanning; then
	missing="$missing exim4-daemon-heavy"
fi
[ -n "$missing" ] || exit 0
how="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "this needs$missing: run, as root, $how" >&2
	exit 69
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# The tests start servers of their own. An unbound that starts here as it is installed would be this machine's resolver.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of words
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/tmp/eximpolicyd-apt.$$ 2>&1 || {
	tail -n 20 "/tmp/eximpolicyd-apt.$$" >&2
	echo "cannot install$missing: run, as root, $how" >&2
	exit 69
}
rm -f "/tmp/eximpolicyd-apt.$$"
