// Where the tests find data that is not part of the repository.

#ifndef LLMIR_UNITTESTS_MODELFILES_TESTDATA_H
#define LLMIR_UNITTESTS_MODELFILES_TESTDATA_H

#include <cstdlib>
#include <string>

namespace llmir {

/// The path of a file in the shared data folder: LLMIR_SHARED_DATA, else ../shared/data beside the
/// source tree. The file may be absent; tests skip with its path then.
inline std::string sharedDataPath(const std::string &name) {
  const char *folder = std::getenv("LLMIR_SHARED_DATA");
  return (folder && *folder ? std::string(folder) : LLMIR_SOURCE_DIR "/../shared/data") + "/" +
         name;
}

} // namespace llmir

#endif // LLMIR_UNITTESTS_MODELFILES_TESTDATA_H
