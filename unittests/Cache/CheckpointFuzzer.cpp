// The libFuzzer target of the checkpoint reader: `llmir-fuzz-checkpoint CORPUS_FOLDER` starts from
// seeds that it writes into the folder itself.

#include "CheckpointFuzz.h"

#include <filesystem>
#include <fstream>
#include <string>

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv) {
  for (int i = 1; i < *argc; ++i) {
    std::filesystem::path folder((*argv)[i]);
    if (!std::filesystem::is_directory(folder))
      continue;
    size_t number = 0;
    for (const std::vector<uint8_t> &seed : llmir::checkpointFuzzSeeds()) {
      std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
      file.write(reinterpret_cast<const char *>(seed.data()),
                 static_cast<std::streamsize>(seed.size()));
    }
    break;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llmir::fuzzCheckpoint({data, size});
  return 0;
}
