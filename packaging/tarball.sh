#!/bin/sh
# tarball.sh TREE FOLDER packs what tree.sh has gathered. Order, owners and times are fixed, so that the same files make the
# same tarball.
set -eu
version=$("$1/eximpolicyd" version | cut -d' ' -f2)
name=eximpolicyd-$version-linux-$(${GO:-go} env GOARCH)
tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+rX,go-w \
	--transform="s,^\.,$name," -cf - . | gzip -9n >"$2/$name.tar.gz"
echo "$2/$name.tar.gz"
