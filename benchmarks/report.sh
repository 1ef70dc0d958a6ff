#!/usr/bin/env bash
# Writes the benchmark report to standard output, in parts: "medians", every
# benchmark of every module, COUNT times each (benchstat); "batching",
# "ratelimit", "breaker", "retry", "auth" and "observability", those packages
# beside their peers; "stack", the whole chain of middlewares beside theirs.
#
#	benchmarks/report.sh COUNT [PART...]
#
# Parts that are not named stay as they are in benchmarks/RESULTS.md, with the
# machine, commit and date that they were measured with. Without names, all are
# measured.
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:?how many runs of each benchmark}
shift
parts=(medians batching ratelimit breaker retry auth observability stack)
wanted=" ${*:-${parts[*]}} "
for name in $wanted; do
	case " ${parts[*]} " in
	*" $name "*) ;;
	*) echo "report.sh: no part is called $name, only: ${parts[*]}" >&2; exit 2 ;;
	esac
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Parts are measured by functions whose output goes to files, not by command
# substitution, in which a failure would not end the script.

medians() {
	# What has a report of its own lets its contenders take turns in it.
	go list work | grep -v /benchmarks/ > "$tmp/packages"
	# shellcheck disable=SC2046
	go test -run '^$' -bench . -benchmem -count "$count" $(cat "$tmp/packages") > "$tmp/raw"
	stamp "Benchmarks, medians of $count runs"
	printf '\n```text\n'
	GOWORK=off go tool -modfile=tools/go.mod benchstat "median=$tmp/raw"
	printf '```\n'
}

batching() {
	(cd benchmarks/batching && go run ./cmd/report -svg goodput.svg > "$tmp/text")
	stamp "Batching, beside its peers"
	printf '\nLibraries, beside what anyone would write (all in benchmarks/batching):\n\n'
	versions benchmarks/batching
	printf '\n![Goodput over offered load](batching/goodput.svg)\n\n'
	cat "$tmp/text"
}

ratelimit() {
	(cd benchmarks/ratelimit && go run ./cmd/report > "$tmp/text")
	stamp "Rate and concurrency limits, beside their peers"
	printf '\nLibraries (how each is set up: benchmarks/ratelimit):\n\n'
	versions benchmarks/ratelimit
	echo
	cat "$tmp/text"
}

breaker() {
	(cd benchmarks/breaker && go run ./cmd/report -svg outage.svg > "$tmp/text")
	stamp "Circuit breakers, beside their peers"
	printf '\nLibraries (how each is set up: benchmarks/breaker):\n\n'
	versions benchmarks/breaker
	printf '\n![An outage of 10 s and what comes after it](breaker/outage.svg)\n\n'
	cat "$tmp/text"
}

retry() {
	(cd benchmarks/retry && go run ./cmd/report > "$tmp/text")
	stamp "Retries and hedges, beside their peers"
	printf '\nLibraries (how each is set up: benchmarks/retry):\n\n'
	versions benchmarks/retry
	echo
	cat "$tmp/text"
}

auth() {
	(cd benchmarks/auth && go run ./cmd/report > "$tmp/text")
	stamp "Authentication and authorization, beside their peers"
	printf '\nLibraries (how each is set up: benchmarks/auth):\n\n'
	versions benchmarks/auth
	echo
	cat "$tmp/text"
}

observability() {
	(cd benchmarks/observability && go run ./cmd/report > "$tmp/text")
	stamp "Logs and health, beside their peers"
	printf '\nLibraries (how each is set up: benchmarks/observability):\n\n'
	versions benchmarks/observability
	echo
	cat "$tmp/text"
}

stack() {
	(cd benchmarks/stack && go run ./cmd/report > "$tmp/text")
	stamp "The whole stack, beside others"
	printf '\nLibraries (how each is set up: benchmarks/stack):\n\n'
	versions benchmarks/stack
	echo
	cat "$tmp/text"
}

# stamp writes a part's heading, and what its figures are of.
stamp() {
	local commit
	commit=$(git rev-parse --short HEAD)
	git diff --quiet HEAD -- '*.go' '*.s' || commit+=' with changes'
	printf '## %s\n\n' "$1"
	printf -- '- Machine: %s, %s/%s, GOMAXPROCS %s\n' "$cpu" "$(go env GOOS)" "$(go env GOARCH)" "$cores"
	printf -- '- Go: %s\n- Commit: %s\n- Date: %s\n' "$(go env GOVERSION)" "$commit" "$(date -u +%Y-%m-%d)"
}

# versions lists the libraries that a module compares with.
versions() {
	(cd "$1" && GOWORK=off go list -m -f '{{if not (or .Main .Indirect .Replace)}}- {{.Path}} {{.Version}}{{end}}' all | grep .)
}

# go test knows the processor's name on every platform, but tells it only with a
# benchmark.
go test -run '^$' -bench . -benchtime 1x ./batching > "$tmp/once"
cpu=$(awk '/^cpu: / { sub(/^cpu: /, ""); print; exit }' "$tmp/once")
cpu=${cpu:-unknown CPU}
cores=$(nproc 2>/dev/null || sysctl -n hw.ncpu)

for name in "${parts[@]}"; do
	case $wanted in
	*" $name "*) "$name" > "$tmp/$name" ;;
	*) awk -v name="$name" '/^<!-- part / { on = $3 == name; next } /^<!-- end/ { on = 0 } on' \
		benchmarks/RESULTS.md > "$tmp/$name" ;;
	esac
done

cat <<'EOT'
# Benchmark results

Written by `make bench`; do not edit. `make bench PARTS=…` measures some parts
only: each says what its figures are, and when and where they were measured.
EOT
for name in "${parts[@]}"; do
	[ -s "$tmp/$name" ] || continue # never measured
	printf '\n<!-- part %s -->\n' "$name"
	cat "$tmp/$name"
	printf '<!-- end -->\n'
done
