// Programs of a vendor's toolkit that finish device code: finding one, and running it on temporary
// files.

#ifndef LLMIR_TARGET_GPU_EXTERNALTOOL_H
#define LLMIR_TARGET_GPU_EXTERNALTOOL_H

#include "llmir/Base/Status.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace mlir::llm {

/// Where a program may be: names to look for on the path, and folders to look in.
struct ToolSearch {
  std::vector<std::string> namesOnPath;
  /// Environment variables that hold a toolkit's root, and folders, each with the file that is
  /// looked for below it.
  std::vector<std::pair<std::string, std::string>> variables;
  std::vector<std::string> files;
  /// Its place below the folder of `--gpu-tools`.
  std::string belowFolder;
  /// Who has it, for the error: `the CUDA toolkit`.
  std::string package;
};

/// The first that exists: on the path, below a variable's folder, at a file's path; or, when the
/// option `--gpu-tools` names a folder, below that and nowhere else. NotFound lists what was looked
/// for and where.
::llmir::StatusOr<std::string> findTool(llvm::StringRef what, const ToolSearch &search);

/// The value of `--gpu-tools`. The first call makes the option.
llvm::StringRef gpuToolsOption();

/// Runs `program` with `arguments`, in which `{in}` and `{out}` stand for temporary files, the
/// first with `input`, and returns what it wrote to the second. Internal has what the program
/// printed.
::llmir::StatusOr<std::string>
runTool(llvm::StringRef program, llvm::ArrayRef<std::string> arguments, llvm::StringRef input);

} // namespace mlir::llm

#endif // LLMIR_TARGET_GPU_EXTERNALTOOL_H
