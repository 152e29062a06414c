// A file holds an object behind a mark and a checksum. LLVM's CachePruning, which keeps the folder
// small, looks only at files whose names begin with `llvmcache-`.

#include "llmir/Target/CPU/ObjectCache.h"
#include "llmir/Base/AtomicFile.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/xxhash.h"
#include <cstdlib>

using namespace mlir::llm;
using llvm::ArrayRef;
using llvm::SmallString;
using llvm::StringRef;
namespace fs = llvm::sys::fs;

static constexpr StringRef kMark = "LLMIRo01";
static constexpr size_t kHeaderBytes = 16; // The mark and 64 bits of checksum.

static SmallString<kHeaderBytes> makeHeader(StringRef object) {
  SmallString<kHeaderBytes> header(kMark);
  char checksum[8];
  llvm::support::endian::write64le(checksum, llvm::xxh3_64bits(object));
  header.append(StringRef(checksum, sizeof(checksum)));
  return header;
}

std::string ObjectCache::defaultFolder() {
  auto variable = [](const char *name) { return StringRef(std::getenv(name)); };
  if (StringRef folder = variable("LLMIR_CACHE_DIR"); !folder.empty())
    return folder.str();
  SmallString<128> path(variable("XDG_CACHE_HOME"));
  if (path.empty()) {
    path = variable("HOME");
    if (path.empty())
      return "";
    llvm::sys::path::append(path, ".cache");
  }
  llvm::sys::path::append(path, "llmir", "objects");
  return path.str().str();
}

::llmir::StatusOr<ObjectCache> ObjectCache::open(StringRef folder) {
  std::error_code error = fs::create_directories(folder);
  if (!error && !fs::is_directory(folder))
    error = std::make_error_code(std::errc::not_a_directory);
  if (error)
    return ::llmir::internalError(folder.str() +
                                  ": cannot be a folder of compiled objects: " + error.message());
  return ObjectCache(folder.str());
}

std::string ObjectCache::computeKey(ArrayRef<StringRef> parts) {
  llvm::SHA256 hash;
  for (StringRef part : parts) {
    char size[8];
    llvm::support::endian::write64le(size, part.size());
    hash.update(StringRef(size, sizeof(size)));
    hash.update(part);
  }
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

std::string ObjectCache::pathOf(StringRef key) const {
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "llvmcache-" + key);
  return path.str().str();
}

std::optional<SmallString<0>> ObjectCache::find(StringRef key) const {
  // The time of access, by which files are pruned, is set even where the file system is mounted
  // without it.
  llvm::Expected<fs::file_t> file = fs::openNativeFileForRead(pathOf(key), fs::OF_UpdateAtime);
  if (!file) {
    llvm::consumeError(file.takeError());
    return std::nullopt;
  }
  SmallString<0> content;
  llvm::Error error = fs::readNativeFileToEOF(*file, content);
  fs::closeFile(*file);
  if (error) {
    llvm::consumeError(std::move(error));
    return std::nullopt;
  }
  if (content.size() < kHeaderBytes)
    return std::nullopt;
  StringRef object = content.str().drop_front(kHeaderBytes);
  if (content.str().take_front(kHeaderBytes) != makeHeader(object).str())
    return std::nullopt;
  return SmallString<0>(object);
}

void ObjectCache::add(StringRef key, StringRef object) const {
  ::llmir::StatusOr<::llmir::AtomicFile> file = ::llmir::AtomicFile::create(pathOf(key));
  // What cannot be kept is generated again.
  if (file && file->write(std::string_view(makeHeader(object).str())) &&
      file->write(std::string_view(object)))
    (void)file->commit();
}

void ObjectCache::prune() const {
  llvm::CachePruningPolicy policy;
  policy.MaxSizeBytes = kMaxBytes;
  llvm::pruneCache(folder, policy);
}
