#!/usr/bin/env bash
# Builds the gRPC clients that integration tests use, grpcurl and
# grpc-health-probe, and prints the folder that they are in. They come as Go
# modules, checked against go.sum, so that Go is all it takes. It takes a minute
# once, for each version in go.mod; after that it costs nothing.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=readonly

say() { printf 'grpctools: %s (%ss)\n' "$*" "$SECONDS" >&2; }
complete() { [ -x "$1/grpcurl" ] && [ -x "$1/grpc-health-probe" ]; }
version() { go list -m -f '{{.Version}}' "$1"; }

grpcurl=$(version github.com/fullstorydev/grpcurl)
probe=$(version github.com/grpc-ecosystem/grpc-health-probe)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ballast
dir=$cache/grpctools-$grpcurl-$probe
if ! complete "$dir"; then
	# The folder gets its name once it is complete. A build that was killed leaves
	# another one behind, which goes a day later.
	mkdir -p "$cache"
	find "$cache" -maxdepth 1 -name 'grpctools-*.tmp.*' -mtime +0 -exec rm -rf {} +
	tmp=$(mktemp -d "$dir.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	say "building grpcurl $grpcurl and grpc-health-probe $probe, about a minute on two cores"
	go build -ldflags=-s -o "$tmp/grpcurl" github.com/fullstorydev/grpcurl/cmd/grpcurl
	go build -ldflags=-s -o "$tmp/grpc-health-probe" github.com/grpc-ecosystem/grpc-health-probe
	chmod 755 "$tmp"
	complete "$dir" || { rm -rf "$dir" && mv "$tmp" "$dir"; } # unless another build was faster
	say "they are in $dir"
fi
echo "$dir"
