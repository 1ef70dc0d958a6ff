#!/usr/bin/env bash
# Writes the benchmark report to standard output: every benchmark of every
# module, COUNT times each, as medians (benchstat); and package batching beside
# its peers.
#
#	benchmarks/report.sh COUNT
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:?how many runs of each benchmark}
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT

# The batcher's peers have a report of their own, which lets them take turns.
packages=$(go list work | grep -v /benchmarks/batching)
# shellcheck disable=SC2086
go test -run '^$' -bench . -benchmem -count "$count" $packages > "$raw"
batching=$(cd benchmarks/batching && go run ./cmd/report -svg goodput.svg)
versions=$(cd benchmarks/batching && GOWORK=off go list -m -f '{{if not (or .Main .Indirect .Replace)}}- {{.Path}} {{.Version}}{{end}}' all | grep .)

# Here and not in the text below, where a failure would not end the script.
medians=$(GOWORK=off go tool -modfile=tools/go.mod benchstat "median=$raw")
cpu=$(awk '/^cpu: / { sub(/^cpu: /, ""); print; exit }' "$raw")
cores=$(nproc 2>/dev/null || sysctl -n hw.ncpu)
platform=$(go env GOOS)/$(go env GOARCH)
version=$(go env GOVERSION)
commit=$(git rev-parse --short HEAD)
git diff --quiet HEAD -- '*.go' '*.s' || commit+=' with changes'

cat <<EOT
# Benchmark results

Written by \`make bench\`; do not edit. Medians of $count runs;
the batcher's comparison with its peers says itself what its figures are.

- Machine: ${cpu:-unknown CPU}, $platform, GOMAXPROCS $cores
- Go: $version
- Commit: $commit
- Date: $(date -u +%Y-%m-%d)

\`\`\`text
$medians
\`\`\`

## Batching, beside its peers

Libraries, beside what anyone would write (all in benchmarks/batching):

$versions

![Goodput over offered load](batching/goodput.svg)

$batching
EOT
