#!/bin/bash
# All that is measured and checked on an NVIDIA machine, in 9 minutes at most: prints Markdown.
#     bash benchmarks/gpu.sh                        # on a GPU, at the papers' sizes
#     bash benchmarks/gpu.sh --device cpu --quick   # anywhere, small: shows that the script works
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
export PYTHONPATH="$root/workflow/scripts${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}

device=cuda scale=full
for word in "$@"; do
    case $word in
        cpu | cuda*) device=$word ;;
        --quick) scale=tiny ;;
    esac
done

timeout 270 python benchmarks/bench_gpu.py "$@"
failed=$?
[ "$failed" -eq 124 ] && echo "Stopped after 270 s: what is missing above was not measured."

# A rehearsal of all cards: each training for a moment, in a folder of its own.
if ! snakemake --list-rules 2>/dev/null | grep -qE '^rehearse( |$)'; then
    printf '\nNo rehearsal: this version has no target of that name, or Snakemake is not installed.\n'
    exit "$failed"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp config.yaml "$folder"
printf '\nRehearsal of all cards at scale %s:\n' "$scale"
timeout -k 5 $((530 - SECONDS)) snakemake --snakefile Snakefile --directory "$folder" --cores "$(nproc)" --resources gpu=8 \
    --keep-going --quiet rules reason host --config "scale=$scale" "device=$device" -- rehearse >&2
rehearsed=$?
cat "$folder"/results/*.md 2>/dev/null
echo "Rehearsal ended with status $rehearsed (124: out of time) after $SECONDS s."
[ "$failed" -eq 0 ] && exit "$rehearsed"
exit "$failed"
