// FakeArtifact: writes an artifact for tests: a small shared object, with sections appended after
// its end and a new section header table, as docs/Artifact.md says the compiler does.

#ifndef LLMIR_UNITTESTS_ENGINE_FAKEARTIFACT_H
#define LLMIR_UNITTESTS_ENGINE_FAKEARTIFACT_H

#include "llmir/Engine/Manifest.h"

#include <elf.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace llmir::testing {

inline std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

using NamedSections = std::vector<std::pair<std::string, std::string>>;

/// `code` with sections appended. The old section headers are dropped: the loader needs none.
inline std::string appendSections(std::string code, const NamedSections &sections) {
  std::string names(1, '\0');
  std::vector<Elf64_Shdr> headers(1);
  auto append = [&](const std::string &name, const std::string &content, uint32_t type) {
    code.resize((code.size() + 4095) & ~size_t(4095));
    Elf64_Shdr header{};
    header.sh_name = static_cast<uint32_t>(names.size());
    header.sh_type = type;
    header.sh_offset = code.size();
    names += name + '\0';
    header.sh_size = type == SHT_STRTAB ? names.size() : content.size();
    code += type == SHT_STRTAB ? names : content;
    headers.push_back(header);
  };
  for (const auto &[name, content] : sections)
    append(name, content, SHT_PROGBITS);
  append(".shstrtab", "", SHT_STRTAB);
  code.resize((code.size() + 7) & ~size_t(7));
  Elf64_Ehdr header;
  std::memcpy(&header, code.data(), sizeof(header));
  header.e_shoff = code.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<uint16_t>(headers.size());
  header.e_shstrndx = static_cast<uint16_t>(headers.size() - 1);
  std::memcpy(code.data(), &header, sizeof(header));
  code.append(reinterpret_cast<const char *>(headers.data()), headers.size() * sizeof(Elf64_Shdr));
  return code;
}

/// A manifest that this build accepts on any host.
inline Manifest makeManifest(int64_t weightBytes) {
  Manifest manifest;
  manifest.abiVersion = LLMIR_ABI_VERSION;
  manifest.compiler = "test";
  manifest.name = "Fake model";
  manifest.architecture = "llama";
  manifest.fingerprint = "0123";
  manifest.targetTriple = "x86_64-unknown-linux-gnu";
  manifest.options = {{"activations", "int8"}, {"kv", "f16"}};
  manifest.vocabularySize = 100;
  manifest.maxSequenceLength = 64;
  manifest.workspace = {
      .fixed = 10, .perToken = 100, .perSequence = 7, .perRow = 5, .perWorker = 3};
  CacheParameters cache;
  cache.numLayers = 2;
  cache.numKVHeads = 3;
  cache.keyHeadDim = cache.valueHeadDim = 8;
  cache.blockSize = 16;
  cache.maxSeqLen = 64;
  manifest.caches = {cache};
  manifest.weightBytes = weightBytes;
  manifest.weightHash = "00000000000000000000000000000000";
  manifest.bytesPerToken = weightBytes;
  return manifest;
}

/// A file that is gone when the object is.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::string &content) {
    char name[] = "/tmp/llmir-test-XXXXXX";
    int descriptor = mkstemp(name);
    path_ = name;
    if (descriptor >= 0)
      close(descriptor);
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_ENGINE_FAKEARTIFACT_H
