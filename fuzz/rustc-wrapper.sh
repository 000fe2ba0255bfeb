#!/bin/sh
# A RUSTC_WRAPPER for cargo fuzz: only this project's crates are instrumented, and miniz_oxide, which
# parses what a peer sends. A fuzzer that steers by the inside of a field multiplication learns nothing
# and is several times as slow.
rustc=$1
shift
case " $* " in
    *" --crate-name ssh_"* | *" --crate-name miniz_oxide "* | *"/fuzz_targets/"* | *" fuzz_targets/"*) exec "$rustc" "$@" ;;
esac
for argument; do
    shift
    case $argument in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage* | -Cllvm-args=-simplifycfg*) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "$rustc" "$@"
