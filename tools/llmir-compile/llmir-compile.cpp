// llmir-compile: a checkpoint in, a compiled model out.

#include "CommandLine.h"
#include "ProgressLine.h"
#include "llmir/Compiler/InterruptGuard.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir::llm;

int main(int argc, char **argv) {
  int exitCode = 0;
  std::optional<CommandLine> line = CommandLine::parse(argc, argv, exitCode);
  if (!line)
    return exitCode;
  std::string executable =
      llvm::sys::fs::getMainExecutable(argv[0], reinterpret_cast<void *>(&main));
  line->compile.executableFolder = llvm::sys::path::parent_path(executable).str();
  ProgressLine progress(!line->quiet);
  line->compile.progress = [&](llvm::StringRef step, int64_t done, int64_t total) {
    progress.show(step, done, total);
  };
  CompileResult result;
  ::llmir::Status status = compileModel(line->compile, result);
  progress.clear();
  for (const std::string &note : result.notes)
    llvm::errs() << "llmir-compile: note: " << note << "\n";
  if (line->timing == TimingFormat::Table)
    result.report.printTable(llvm::errs());
  else if (line->timing == TimingFormat::JSON)
    result.report.printJSON(llvm::errs());
  if (line->printStatistics)
    result.statistics.print(llvm::errs());
  if (line->verbose)
    result.quantization.printTable(llvm::errs());
  if (!line->quiet)
    result.quantization.printSummary(llvm::errs());
  if (!status) {
    llvm::errs() << "llmir-compile: error: " << status.message() << "\n";
    int signal = InterruptGuard::signalReceived();
    return signal ? 128 + signal : 1;
  }
  llvm::outs() << result.text;
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return 0;
  llvm::errs() << "llmir-compile: error: standard output: cannot write: "
               << llvm::outs().error().message() << "\n";
  llvm::outs().clear_error();
  return 1;
}
