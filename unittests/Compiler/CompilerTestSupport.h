// What the compiler's unit tests share: a folder that goes away, and a linked model made of
// hand-written LLVM dialect.

#ifndef LLMIR_UNITTESTS_COMPILER_COMPILERTESTSUPPORT_H
#define LLMIR_UNITTESTS_COMPILER_COMPILERTESTSUPPORT_H

#include "llmir/Base/MappedFile.h"
#include "llmir/Compiler/Linker.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace mlir::llm {

/// A folder for a test's files.
class TestFolder {
public:
  TestFolder() {
    std::string pattern = testing::TempDir() + "llmir-compiler-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(folder); }

  std::string path(const std::string &name) const { return folder + "/" + name; }
  /// Names of everything in it.
  std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    return names;
  }

private:
  std::string folder;
};

/// A step that does nothing, and the symbols of a compiled model.
inline constexpr const char *kEmptyModel = R"(
  llvm.mlir.global external constant @llmir_model_abi_version(2 : i32) : i32
  llvm.func @helper(%worker: i32) -> i32 { llvm.return %worker : i32 }
  llvm.func @llmir_model_step(%args: !llvm.ptr, %worker: i32, %workers: i32) {
    %0 = llvm.call @helper(%worker) : (i32) -> i32
    llvm.return
  })";

/// Generates and links kEmptyModel to a shared object at `path`.
inline void linkEmptyModel(const std::string &path) {
  DialectRegistry registry;
  registerCodeGenerationDialects(registry);
  MLIRContext context(registry);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(kEmptyModel, &context);
  ASSERT_TRUE(module);
  CodeGenerationOptions options;
  options.target = TargetDescription::forHost();
  options.exportedSymbols = {"llmir_model_step", "llmir_model_abi_version"};
  FailureOr<std::vector<CodeBuffer>> code = generateCode(*module, options);
  ASSERT_TRUE(succeeded(code));
  auto scratch = ScratchFolder::create();
  ASSERT_TRUE(scratch.isOk()) << scratch.status().message();
  auto object = scratch->write("model.o", code->front());
  ASSERT_TRUE(object.isOk()) << object.status().message();
  ::llmir::Status status = linkSharedObject({*object}, path, *scratch);
  ASSERT_TRUE(status.isOk()) << status.message();
}

} // namespace mlir::llm

#endif // LLMIR_UNITTESTS_COMPILER_COMPILERTESTSUPPORT_H
