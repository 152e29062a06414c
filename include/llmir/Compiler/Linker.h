// Links generated objects: to a shared object with lld, or to a program, together with the
// runtime's static libraries, with the system's C++ compiler. Runs other programs; keeps nothing
// behind.

#ifndef LLMIR_COMPILER_LINKER_H
#define LLMIR_COMPILER_LINKER_H

#include "llmir/Base/Status.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include <string>
#include <vector>

namespace mlir::llm {

/// A folder for intermediate files in the system's place for temporaries, removed with all its
/// content by the destructor. Move-only.
class ScratchFolder {
public:
  static ::llmir::StatusOr<ScratchFolder> create();
  ScratchFolder(ScratchFolder &&other) noexcept : folder(std::move(other.folder)) {
    other.folder.clear();
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ScratchFolder &operator=(const ScratchFolder &) = delete;
  ~ScratchFolder();

  /// The path of `name` in the folder.
  std::string pathOf(llvm::StringRef name) const;
  /// Writes a file into the folder; ResourceExhausted when the disk is full.
  ::llmir::StatusOr<std::string> write(llvm::StringRef name, llvm::StringRef content) const;

private:
  ScratchFolder() = default;

  std::string folder;
};

/// What a program is linked from beside the objects.
struct ProgramLinkOptions {
  /// Folder of the running compiler's executable: the runtime's libraries are looked for in
  /// `../lib` and in `../lib/llmir` from there, then in the folder of the installation.
  std::string executableFolder;
  /// The symbols of the model's steps, one for each version of its code.
  std::vector<std::string> steps;
};

/// Links `objects` (paths) to the shared object `output` with lld 22. The tool is looked for in the
/// folder of LLVM's tools, then on the path; NotFound says where. Internal has the linker's
/// message.
::llmir::Status linkSharedObject(llvm::ArrayRef<std::string> objects, const std::string &output,
                                 const ScratchFolder &scratch);

/// Links `objects`, which define the model's step, with the runtime and a main that runs the model
/// in the program's own file, to the program `output`. It depends on the C library alone.
::llmir::Status linkProgram(llvm::ArrayRef<std::string> objects, const std::string &output,
                            const ProgramLinkOptions &options, const ScratchFolder &scratch);

} // namespace mlir::llm

#endif // LLMIR_COMPILER_LINKER_H
