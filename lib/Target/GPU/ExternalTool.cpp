// Finding and running a vendor's programs: see ExternalTool.h.

#include "llmir/Target/GPU/ExternalTool.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <optional>

using namespace mlir::llm;
using ::llmir::Status;
using ::llmir::StatusOr;
using llvm::StringRef;

StringRef mlir::llm::gpuToolsOption() {
  static llvm::cl::opt<std::string> folder(
      "gpu-tools",
      llvm::cl::desc("Folder that has bin/ptxas, llvm/bin/ld.lld and amdgcn/bitcode; they are "
                     "looked for there and nowhere else (default: the usual places)"),
      llvm::cl::value_desc("folder"));
  return folder;
}

StatusOr<std::string> mlir::llm::findTool(StringRef what, const ToolSearch &search) {
  std::string tried;
  auto note = [&](const std::string &place) { tried += (tried.empty() ? "" : ", ") + place; };
  auto notFound = [&] {
    return ::llmir::notFound("cannot find " + what.str() + " of " + search.package +
                             ": looked for " + tried);
  };
  if (StringRef folder = gpuToolsOption(); !folder.empty()) {
    std::string path = folder.str() + "/" + search.belowFolder;
    if (llvm::sys::fs::exists(path))
      return path;
    note(path);
    return notFound();
  }
  for (const std::string &name : search.namesOnPath) {
    if (auto path = llvm::sys::findProgramByName(name))
      return *path;
    note(name + " on the path");
  }
  for (const auto &[variable, file] : search.variables) {
    const char *root = std::getenv(variable.c_str());
    std::string path = (root ? root : "") + std::string("/") + file;
    if (root && llvm::sys::fs::exists(path))
      return path;
    note(root ? path : "$" + variable + "/" + file + " (not set)");
  }
  for (const std::string &file : search.files) {
    if (llvm::sys::fs::exists(file))
      return file;
    note(file);
  }
  return notFound();
}

namespace {
/// A temporary file, removed by the destructor.
class TemporaryFile {
public:
  explicit TemporaryFile(StringRef suffix) {
    error = llvm::sys::fs::createTemporaryFile("llmir", suffix, path);
    if (!error)
      remover.setFile(path);
  }
  std::error_code error;
  llvm::SmallString<128> path;

private:
  llvm::FileRemover remover;
};
} // namespace

static StatusOr<std::string> readFile(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return ::llmir::internalError("cannot read " + path.str() + ": " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

static Status writeFile(StringRef path, StringRef content) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (!error) {
    stream << content;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    return ::llmir::internalError("cannot write " + path.str() + ": " + error.message());
  return Status::ok();
}

StatusOr<std::string> mlir::llm::runTool(StringRef program, llvm::ArrayRef<std::string> arguments,
                                         StringRef input) {
  TemporaryFile in("in"), out("out"), log("log");
  for (const TemporaryFile *file : {&in, &out, &log})
    if (file->error)
      return ::llmir::internalError("cannot create a temporary file: " + file->error.message());
  LLMIR_RETURN_IF_ERROR(writeFile(in.path, input));
  llvm::SmallVector<StringRef> all = {program};
  for (const std::string &argument : arguments)
    all.push_back(argument == "{in}"    ? StringRef(in.path)
                  : argument == "{out}" ? StringRef(out.path)
                                        : StringRef(argument));
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log.path), StringRef(log.path)};
  std::string error;
  int code = llvm::sys::ExecuteAndWait(program, all, std::nullopt, redirects, 0, 0, &error);
  if (code == 0)
    return readFile(out.path);
  StatusOr<std::string> output = readFile(log.path);
  std::string printed = output ? StringRef(*output).rtrim().take_front(2000).str() : "";
  return ::llmir::internalError(program.str() + " failed with exit code " + std::to_string(code) +
                                (error.empty() ? "" : ": " + error) +
                                (printed.empty() ? "" : ":\n" + printed));
}
