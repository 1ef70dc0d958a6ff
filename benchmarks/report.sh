#!/usr/bin/env bash
# Writes the benchmark report to standard output: every benchmark of every
# module, COUNT times each, as medians (benchstat).
#
#	benchmarks/report.sh COUNT
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:?how many runs of each benchmark}
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT

go test -run '^$' -bench . -benchmem -count "$count" work > "$raw"

cpu=$(sed -n 's/^cpu: //p' "$raw" | sort -u | head -n 1)
cat <<EOT
# Benchmark results

Written by \`make bench\`; do not edit. Medians of $count runs.

- Machine: ${cpu:-unknown CPU}, $(go env GOOS)/$(go env GOARCH), GOMAXPROCS $(nproc 2>/dev/null || sysctl -n hw.ncpu)
- Go: $(go env GOVERSION)
- Commit: $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- '*.go' '*.s' || echo ' with changes')
- Date: $(date -u +%Y-%m-%d)

\`\`\`text
$(GOWORK=off go tool -modfile=tools/go.mod benchstat "$raw")
\`\`\`
EOT
