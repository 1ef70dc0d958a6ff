#!/usr/bin/env bash
# Builds the etcd and the kube-apiserver that integration tests run against, and
# prints the folder that they are in. They come as Go modules, checked against
# go.sum, so that Go is all it takes. It takes minutes once, for each version in
# go.mod; after that it costs nothing.
#
# Another version: change it in go.mod, that of the staging modules in all the
# replaces, too, and run go mod tidy.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=readonly

say() { printf 'kubedev: %s (%ss)\n' "$*" "$SECONDS" >&2; }
complete() { [ -x "$1/etcd" ] && [ -x "$1/kube-apiserver" ]; }

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ballast
dir=$cache/kube-$version
if ! complete "$dir"; then
	# The folder gets its name once it is complete. A build that was killed leaves
	# another one behind, which goes a day later.
	mkdir -p "$cache"
	find "$cache" -maxdepth 1 -name 'kube-*.tmp.*' -mtime +0 -exec rm -rf {} +
	tmp=$(mktemp -d "$dir.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	say "building etcd $(go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3), about half a minute"
	go build -ldflags=-s -o "$tmp/etcd" go.etcd.io/etcd/server/v3
	say "building kube-apiserver $version, about three minutes on two cores"
	go build -ldflags=-s -o "$tmp/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
	chmod 755 "$tmp"
	complete "$dir" || { rm -rf "$dir" && mv "$tmp" "$dir"; } # unless another build was faster
	say "they are in $dir"
fi
echo "$dir"
