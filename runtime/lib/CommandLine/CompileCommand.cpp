// Finds llmir-compile and executes it.

#include "llmir/CommandLine/CompileCommand.h"

#include "llmir/CommandLine/Terminal.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace llmir {

ProgramSearch currentProgramSearch() {
  ProgramSearch search;
  char path[PATH_MAX];
  ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length > 0) {
    std::string self(path, static_cast<size_t>(length));
    search.ownFolder = self.substr(0, self.find_last_of('/'));
  }
  if (const char *searchPath = std::getenv("PATH"))
    search.searchPath = searchPath;
  return search;
}

static bool isExecutableFile(const std::string &path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

StatusOr<std::string> findProgram(const std::string &name, const ProgramSearch &search) {
  std::string tried;
  auto isThere = [&](const std::string &path) {
    tried += (tried.empty() ? "'" : ", '") + path + "'";
    return isExecutableFile(path);
  };
  if (!search.ownFolder.empty())
    if (std::string path = search.ownFolder + "/" + name; isThere(path))
      return path;
  size_t start = 0;
  while (start < search.searchPath.size()) {
    size_t end = std::min(search.searchPath.find(':', start), search.searchPath.size());
    // An empty entry of PATH is the working folder.
    std::string folder = end > start ? search.searchPath.substr(start, end - start) : ".";
    if (std::string path = folder + "/" + name; isThere(path))
      return path;
    start = end + 1;
  }
  return notFound("'" + name + "' is not there: looked for " +
                  (tried.empty() ? "nothing, as PATH is empty" : tried));
}

int executeCompiler(std::span<const char *const> arguments) {
  StatusOr<std::string> program = findProgram("llmir-compile", currentProgramSearch());
  if (!program)
    return reportError(Status(
        program.status().code(),
        program.status().message() +
            "; build LLMIR with the compiler (LLMIR_ENABLE_COMPILER=ON), or put it on PATH"));
  std::vector<char *> argv = {program->data()};
  for (const char *argument : arguments)
    argv.push_back(const_cast<char *>(argument));
  argv.push_back(nullptr);
  ::execv(program->c_str(), argv.data());
  return reportError(internalError("cannot execute '" + *program + "': " + std::strerror(errno)));
}

} // namespace llmir
