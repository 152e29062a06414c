// ObjectCache: objects of earlier compilations in a folder, by the hash of the LLVM IR and the
// target that they were generated from. A cache is never needed: what cannot be read or written is
// a miss, and a damaged file is one too.

#ifndef LLMIR_TARGET_CPU_OBJECTCACHE_H
#define LLMIR_TARGET_CPU_OBJECTCACHE_H

#include "llmir/Base/Status.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>

namespace mlir::llm {

/// A folder of objects, which several compilations may use at once; every method may be called from
/// any thread.
class ObjectCache {
public:
  /// What the folder is cut back to by prune(): the files that were used last.
  static constexpr uint64_t kMaxBytes = uint64_t(256) << 20;

  /// Takes `folder`, which is made if it is not there; the error names it.
  static ::llmir::StatusOr<ObjectCache> open(llvm::StringRef folder);
  /// `$LLMIR_CACHE_DIR`; else `llmir/objects` in `$XDG_CACHE_HOME` or `~/.cache`; empty when none
  /// of these is known.
  static std::string defaultFolder();

  /// The key of an object: a SHA-256 over `parts`, which are told apart, as 64 hex digits.
  static std::string computeKey(llvm::ArrayRef<llvm::StringRef> parts);

  /// The object of that key.
  std::optional<llvm::SmallString<0>> find(llvm::StringRef key) const;
  /// Writes an object beside its place and renames it; a failure leaves nothing behind.
  void add(llvm::StringRef key, llvm::StringRef object) const;
  /// Removes what was not used for long, at most once in some minutes.
  void prune() const;

  const std::string &getFolder() const { return folder; }

private:
  explicit ObjectCache(std::string folder) : folder(std::move(folder)) {}
  std::string pathOf(llvm::StringRef key) const;

  std::string folder;
};

} // namespace mlir::llm

#endif // LLMIR_TARGET_CPU_OBJECTCACHE_H
