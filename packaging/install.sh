#!/bin/sh
# install.sh puts the files beside it where they belong, and install.sh --remove takes them away again, but for
# /etc/eximpolicyd and what is remembered in /var/lib/eximpolicyd. Here alone stands where everything goes: make install,
# the Debian package and the tarball all do what this does.
#
# PREFIX=/usr/local, instead of /usr; DESTDIR=/some/folder that stands for /.
set -eu
cd "$(dirname "$0")"
umask 022
prefix=${PREFIX:-/usr}
root=${DESTDIR:-}
case "${1:-}" in
"") remove= ;;
--remove) remove=yes ;;
*)
	echo "install.sh: hint: PREFIX=/usr DESTDIR= install.sh [--remove]" >&2
	exit 64
	;;
esac

put() { # put MODE FILE PLACE
	if [ "$remove" ]; then
		rm -f "$root$3"
	else
		install -D -m "$1" "$2" "$root$3"
	fi
}
all() { # all FOLDER PLACE: each file below a folder
	find "$1" -type f | while read -r file; do put 644 "$file" "$2/${file#"$1"/}"; done
}

put 755 eximpolicyd "$prefix/sbin/eximpolicyd"
for folder in */; do
	folder=${folder%/}
	case $folder in
	systemd) all $folder "$prefix/lib/systemd/system" ;;
	sysusers.d | tmpfiles.d) all $folder "$prefix/lib/$folder" ;;
	man) all $folder "$prefix/share/man" ;;
	completions)
		put 644 completions/bash "$prefix/share/bash-completion/completions/eximpolicyd"
		zsh=site-functions
		[ "$prefix" != /usr ] || zsh=vendor-completions # of Debian
		put 644 completions/zsh "$prefix/share/zsh/$zsh/_eximpolicyd"
		put 644 completions/fish "$prefix/share/fish/vendor_completions.d/eximpolicyd.fish"
		;;
	examples) all $folder "$prefix/share/doc/eximpolicyd/examples" ;;
	*) all "$folder" "$prefix/share/eximpolicyd/$folder" ;; # snippets, and what other programs take: spamassassin, grafana
	esac
done
for file in README.md libraries.txt; do
	put 644 $file "$prefix/share/doc/eximpolicyd/$file"
done

if [ "$remove" ]; then
	for folder in share/eximpolicyd share/doc/eximpolicyd; do
		[ ! -d "$root$prefix/$folder" ] || find "$root$prefix/$folder" -depth -type d -empty -delete
	done
	exit
fi
[ -e "$root/etc/eximpolicyd/eximpolicyd.toml" ] || put 644 eximpolicyd.toml /etc/eximpolicyd/eximpolicyd.toml
if [ "$prefix" != /usr ]; then # the units name the binary
	sed -i "s#/usr/sbin/eximpolicyd#$prefix/sbin/eximpolicyd#" "$root$prefix"/lib/systemd/system/eximpolicyd*.service
fi
[ "$root" ] || cat <<'END'
eximpolicyd is installed. Next, as root:
    systemd-sysusers eximpolicyd.conf && systemd-tmpfiles --create eximpolicyd.conf
    chgrp eximpolicyd /etc/eximpolicyd/eximpolicyd.toml && chmod 640 /etc/eximpolicyd/eximpolicyd.toml
    systemctl daemon-reload && systemctl enable --now eximpolicyd.service
    eximpolicyd setup --add
END
