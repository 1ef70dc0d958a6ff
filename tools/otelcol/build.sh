#!/usr/bin/env bash
# Builds the OpenTelemetry Collector that integration tests send traces to, and
# prints the folder that it is in. Its own builder, pinned by go.mod, writes and
# compiles it from builder.yaml, so that Go is all it takes. It takes minutes
# once, for each version; after that it costs nothing.
#
# Another version: change it in builder.yaml and go.mod, and run go mod tidy.
set -euo pipefail
cd "$(dirname "$0")"
export GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=readonly

say() { printf 'otelcol: %s (%ss)\n' "$*" "$SECONDS" >&2; }
complete() { [ -x "$1/otelcol" ]; }

version=$(go list -m -f '{{.Version}}' go.opentelemetry.io/collector/cmd/builder)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ballast
dir=$cache/otelcol-$version
if ! complete "$dir"; then
	# The folder gets its name once it is complete. A build that was killed leaves
	# another one behind, which goes a day later.
	mkdir -p "$cache"
	find "$cache" -maxdepth 1 -name 'otelcol-*.tmp.*' -mtime +0 -exec rm -rf {} +
	tmp=$(mktemp -d "$dir.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	say "building the collector's builder $version"
	go build -o "$tmp/builder" go.opentelemetry.io/collector/cmd/builder
	say "building otelcol, about two minutes on two cores"
	config=$PWD/builder.yaml
	# It tidies the module that it writes, whose go.sum is not there yet.
	(cd "$tmp" && GOFLAGS=-mod=mod ./builder --config="$config" --ldflags=-s > build.log 2>&1) || { cat "$tmp/build.log" >&2; exit 1; }
	mv "$tmp/source/otelcol" "$tmp/otelcol"
	rm -rf "$tmp/source" "$tmp/builder" "$tmp/build.log"
	chmod 755 "$tmp"
	complete "$dir" || { rm -rf "$dir" && mv "$tmp" "$dir"; } # unless another build was faster
	say "it is in $dir"
fi
echo "$dir"
