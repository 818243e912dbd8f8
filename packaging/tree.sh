#!/bin/sh
# tree.sh BINARY FOLDER gathers all that is installed in a folder, which is also what the tarball has: the binary, what it
# says of itself (manual pages, completions, snippets, scenarios, configurations), the licences of what it is linked with,
# the folders beside this script as they are, and install.sh, which says where everything goes.
set -eu
binary=$1
tree=$2
here=$(dirname "$0")
umask 022
rm -rf "$tree"
mkdir -p "$tree/completions" "$tree/snippets" "$tree/examples"
install -m 755 "$binary" "$tree/eximpolicyd"
install -m 755 "$here/install.sh" "$tree"
install -m 644 "$here/eximpolicyd.toml" "$here/../README.md" "$here/../LICENSE" "$tree"
for folder in "$here"/*/; do
	case $folder in
	*/deb/) ;; # what only a Debian package has
	*) cp -R "$folder" "$tree/$(basename "$folder")" ;;
	esac
done

self=$tree/eximpolicyd
values() { "$self" __complete "$@" "" 2>/dev/null | grep -v '^:'; } # what a shell would offer
"$self" man --dir "$tree/man"
find "$tree/man" -type f -exec gzip -9n {} +
for shell in bash zsh fish; do
	"$self" completion $shell >"$tree/completions/$shell"
done
flavours=$(values snippets --flavour)
for flavour in $flavours; do
	"$self" snippets --flavour "$flavour" >"$tree/snippets/$flavour.conf"
done
policies=$(values test --example)
for policy in $policies; do
	"$self" test --example "$policy" >"$tree/examples/$policy.scenario"
done
"$self" config default >"$tree/examples/eximpolicyd.toml"

# The licences of most libraries want to go with the binary.
go=${GO:-go}
{
	printf '==== Go\n\n'
	cat "$($go env GOROOT)/LICENSE"
	$go version -m "$binary" | awk '$1 == "dep" { print $2, $3 }' | while read -r module version; do
		printf '\n==== %s %s\n\n' "$module" "$version"
		cat "$($go list -m -f '{{.Dir}}' "$module")"/LICENSE*
	done
} >"$tree/libraries.txt"
