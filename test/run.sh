#!/bin/sh
# make run: serve in the foreground with the embedded defaults, and leave an exim.conf beside the socket that asks.
# Its argument, "forgeries", enforces the rules against forged greetings.
set -eu
case "${1:-}" in
"" | forgeries) ;;
*)
	echo "eximpolicyd: ENFORCE=$1 is not known" >&2
	echo "eximpolicyd: hint: make run ENFORCE=forgeries" >&2
	exit 64
	;;
esac

if [ "$(id -u)" = 0 ]; then
	# Exim runs as a user of its own, and a socket below a folder that it cannot enter is silently out of its reach.
	dir=$(mktemp -d /tmp/eximpolicyd.XXXXXX)
	chmod 755 "$dir"
	echo "as root: everything is under $dir, which Exim's user can reach"
	socket=$dir/policy.sock
else
	mkdir -p run
	dir=$(pwd)/run
	socket=run/policy.sock
fi

printf '# made by make run\nstate.dir = "%s/state"\n' "$dir" >"$dir/eximpolicyd.toml"
if [ "${1:-}" = forgeries ]; then
	echo 'policy.helo.rules = {H2 = "enforce", H3 = "enforce", H17 = "enforce"}' >>"$dir/eximpolicyd.toml"
fi

# Exim's own default configuration with the four lines that the stock snippets ask for.
example=/usr/share/doc/exim4-base/examples/example.conf
if [ -f "$example" ]; then
	bin/eximpolicyd snippets --flavour stock --dir "$dir/exim" --socket "$dir/policy.sock" >/dev/null
	mkdir -p "$dir/spool"
	sed -e "/^begin acl\$/{
			i\\
primary_hostname = mx.example.com\\
spool_directory = $dir/spool\\
log_file_path = $dir/spool/%slog\\
tls_advertise_hosts =\\
keep_environment =\\
.include $dir/exim/eximpolicyd-main.inc
			a\\
.include $dir/exim/eximpolicyd-acl.inc
		}" \
		-e "/^acl_check_rcpt:\$/a\\
.include $dir/exim/eximpolicyd-rcpt.inc" \
		-e "/^acl_check_data:\$/a\\
.include $dir/exim/eximpolicyd-data.inc" \
		-e '/^host_lookup = \*$/d' "$example" >"$dir/exim.conf"
	[ "$(id -u)" != 0 ] || chown -R Debian-exim "$dir/spool"
	echo "a ready exim.conf: exim4 -C $dir/exim.conf -bh 203.0.113.7"
else
	echo "no exim.conf is made: $example is missing (Debian: exim4-base)"
fi
exec bin/eximpolicyd serve --config "$dir/eximpolicyd.toml" --socket "$socket"
