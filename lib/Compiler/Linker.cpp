// Finds the linkers, runs them, and turns what they print into one error.

#include "llmir/Compiler/Linker.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Errc.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>

using namespace mlir::llm;
using ::llmir::Status;
using ::llmir::StatusCode;
using ::llmir::StatusOr;
using llvm::ArrayRef;
using llvm::SmallString;
using llvm::SmallVector;
using llvm::StringRef;
namespace fs = llvm::sys::fs;

static Status fileError(const std::string &path, StringRef what, std::error_code error) {
  std::string message = path + ": " + what.str() + ": " + error.message();
  if (error == std::errc::no_space_on_device || error == std::errc::file_too_large)
    return ::llmir::resourceExhausted(message);
  return ::llmir::internalError(message);
}

StatusOr<ScratchFolder> ScratchFolder::create() {
  SmallString<128> path;
  if (std::error_code error = fs::createUniqueDirectory("llmir-compile", path))
    return fileError(path.str().str(), "cannot create a folder for intermediate files", error);
  ScratchFolder scratch;
  scratch.folder = path.str().str();
  return scratch;
}

ScratchFolder::~ScratchFolder() {
  if (!folder.empty())
    fs::remove_directories(folder);
}

std::string ScratchFolder::pathOf(StringRef name) const { return folder + "/" + name.str(); }

StatusOr<std::string> ScratchFolder::write(StringRef name, StringRef content) const {
  std::string path = pathOf(name);
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (error)
    return fileError(path, "cannot create", error);
  stream << content;
  stream.close();
  if (stream.has_error()) {
    error = stream.error();
    stream.clear_error();
    return fileError(path, "cannot write " + std::to_string(content.size()) + " bytes", error);
  }
  return path;
}

/// What a program that ran had to say, shortened to what fits an error message.
static std::string readOutput(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return "";
  StringRef text = (*buffer)->getBuffer().rtrim();
  return text.take_front(2000).str();
}

/// Runs a program and waits; its output appears only in the error.
static Status runProgram(const std::string &program, ArrayRef<std::string> arguments,
                         const ScratchFolder &scratch) {
  SmallVector<StringRef> all{program};
  all.append(arguments.begin(), arguments.end());
  std::string log = scratch.pathOf("log.txt");
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log), StringRef(log)};
  std::string error;
  int code = llvm::sys::ExecuteAndWait(program, all, std::nullopt, redirects, 0, 0, &error);
  if (code == 0)
    return Status::ok();
  std::string output = readOutput(log);
  StatusCode kind = StringRef(output).contains_insensitive("no space left")
                        ? StatusCode::ResourceExhausted
                        : StatusCode::Internal;
  return Status(kind, program + " failed with exit code " + std::to_string(code) +
                          (error.empty() ? "" : ": " + error) +
                          (output.empty() ? "" : ":\n" + output));
}

/// lld 22: in the folder of LLVM's tools that the build found, else on the path.
static StatusOr<std::string> findLinker() {
  if (auto path = llvm::sys::findProgramByName("ld.lld", {LLMIR_LLVM_TOOLS_DIR}))
    return *path;
  if (auto path = llvm::sys::findProgramByName("ld.lld-22"))
    return *path;
  return ::llmir::notFound("cannot find the linker: looked for " LLMIR_LLVM_TOOLS_DIR
                           "/ld.lld and for ld.lld-22 on the path (package lld-22)");
}

Status mlir::llm::linkSharedObject(ArrayRef<std::string> objects, const std::string &output,
                                   const ScratchFolder &scratch) {
  StatusOr<std::string> linker = findLinker();
  if (!linker)
    return linker.status();
  std::vector<std::string> arguments = {
      "-shared", "--gc-sections", "--hash-style=gnu", "-z", "relro", "-z", "now",
      "-z",      "noexecstack",   "--build-id=none",  "-o", output};
  arguments.insert(arguments.end(), objects.begin(), objects.end());
  return runProgram(*linker, arguments, scratch);
}

/// The system's C++ compiler, which knows where the C and C++ libraries are.
static StatusOr<std::string> findCompilerDriver() {
  for (StringRef name : {"clang++-22", "clang++", "g++", "c++"})
    if (auto path = llvm::sys::findProgramByName(name))
      return *path;
  return ::llmir::notFound("cannot find a C++ compiler to link a program with: looked for "
                           "clang++-22, clang++, g++ and c++ on the path");
}

/// The folder that holds the runtime's static libraries.
static StatusOr<std::string> findRuntimeFolder(const ProgramLinkOptions &options) {
  std::string candidates[] = {options.executableFolder + "/../lib",
                              options.executableFolder + "/../lib/llmir",
                              LLMIR_INSTALL_LIBRARY_DIR};
  std::string searched;
  for (std::string &candidate : candidates) {
    if (fs::exists(candidate + "/libLLMIRCommandLine.a"))
      return candidate;
    searched += (searched.empty() ? "" : ", ") + candidate;
  }
  return ::llmir::notFound("cannot find the runtime's libraries: looked for "
                           "libLLMIRCommandLine.a in " +
                           searched);
}

/// `-l:libNAME.a` when the driver finds a static library, else `-lNAME`.
static std::string chooseLibrary(const std::string &driver, StringRef name,
                                 const ScratchFolder &scratch) {
  std::string file = "lib" + name.str() + ".a";
  std::string answer = scratch.pathOf("library.txt");
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(answer), StringRef("")};
  std::string question = "-print-file-name=" + file;
  int code = llvm::sys::ExecuteAndWait(driver, {driver, question}, std::nullopt, redirects);
  bool isStatic = code == 0 && llvm::sys::path::is_absolute(readOutput(answer));
  return isStatic ? "-l:" + file : "-l" + name.str();
}

/// The program's own source: everything else is in the runtime's libraries.
static std::string makeMainSource(ArrayRef<std::string> steps) {
  std::string declarations, entries;
  for (const std::string &step : steps) {
    declarations += "void " + step + "(const llmir_step_args *, std::int32_t, std::int32_t);\n";
    entries += "      {\"" + step + "\", " + step + "},\n";
  }
  return "#include <cstdint>\n"
         "#include <span>\n"
         "extern \"C\" {\n"
         "struct llmir_step_args;\n"
         "struct llmir_linked_step {\n"
         "  const char *symbol;\n"
         "  void (*step)(const llmir_step_args *, std::int32_t, std::int32_t);\n"
         "};\n" +
         declarations +
         "extern const std::uint32_t llmir_model_abi_version;\n"
         "}\n"
         "namespace llmir {\n"
         "int runModelExecutable(int, char **, std::span<const llmir_linked_step>, "
         "std::uint32_t);\n"
         "} // namespace llmir\n"
         "int main(int argc, char **argv) {\n"
         "  static const llmir_linked_step steps[] = {\n" +
         entries +
         "  };\n"
         "  return llmir::runModelExecutable(argc, argv, steps, llmir_model_abi_version);\n"
         "}\n";
}

Status mlir::llm::linkProgram(ArrayRef<std::string> objects, const std::string &output,
                              const ProgramLinkOptions &options, const ScratchFolder &scratch) {
  StatusOr<std::string> driver = findCompilerDriver();
  if (!driver)
    return driver.status();
  StatusOr<std::string> folder = findRuntimeFolder(options);
  if (!folder)
    return folder.status();
  StatusOr<std::string> source = scratch.write("main.cpp", makeMainSource(options.steps));
  if (!source)
    return source.status();
  std::vector<std::string> arguments = {"-std=c++20", "-O1", "-o", output, *source};
  arguments.insert(arguments.end(), objects.begin(), objects.end());
  arguments.push_back("-L" + *folder);
  arguments.push_back("-Wl,--start-group");
  SmallVector<StringRef> names;
  StringRef(LLMIR_PROGRAM_LIBRARIES).split(names, ',', -1, /*KeepEmpty=*/false);
  for (StringRef name : names)
    arguments.push_back("-l:lib" + name.str() + ".a");
  names.clear();
  StringRef(LLMIR_PROGRAM_SYSTEM_LIBRARIES).split(names, ',', -1, /*KeepEmpty=*/false);
  for (StringRef name : names)
    arguments.push_back(chooseLibrary(*driver, name, scratch));
  arguments.push_back("-Wl,--end-group");
  names.clear();
  StringRef(LLMIR_PROGRAM_LINK_FLAGS).split(names, ' ', -1, /*KeepEmpty=*/false);
  for (StringRef flag : names)
    arguments.push_back(flag.str());
  return runProgram(*driver, arguments, scratch);
}
