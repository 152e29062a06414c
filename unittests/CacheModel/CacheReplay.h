// CacheReplay: a CacheModel and a PagedKVCache that are told the same things and compared in
// everything that a caller can see: outcomes, tables, counts, the order of free blocks, stale ids,
// and what each sequence reads.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_CACHEREPLAY_H
#define LLMIR_UNITTESTS_CACHEMODEL_CACHEREPLAY_H

#include "CacheModel.h"
#include "TagCodec.h"

#include "llmir/Cache/PagedKVCache.h"

#include <cstdint>
#include <string>
#include <vector>

namespace llmir::model {

/// How a cache under test stores what the model writes.
struct CacheStorage {
  CacheParameters parameters; ///< Block size and length come from the model's sizes.
  ElementType elementType = ElementType::F32; ///< Of the arrays that go in and out.
};

/// One layer of one head of 16 channels, each of which is one bit of a tag, as f32.
CacheStorage smallStorage();

/// Constants with which every tag survives, for a cache that needs them.
void giveConstantScales(PagedKVCache &cache);

/// Not movable: hand out by reference.
class CacheReplay {
public:
  CacheReplay(const CacheSizes &sizes, const CacheStorage &storage);
  CacheReplay(const CacheReplay &) = delete;
  CacheReplay &operator=(const CacheReplay &) = delete;

  /// Does `operation` on both. Empty, or how the outcomes differ.
  std::string step(const CacheOperation &operation);
  /// Empty, or the first thing in which they differ.
  std::string compare();
  /// Hands out every free block of both and takes them back in the same order: empty, or where the
  /// orders differ. Free blocks get a new generation.
  std::string drain();
  /// Frees everything in both.
  std::string clear();

  const CacheModel &model() const { return model_; }

private:
  Status perform(const CacheOperation &operation, Ticket firstHeld);
  Status append(const CacheOperation &operation);
  std::string comparePool() const;
  std::string compareStaleIds();
  std::string compareSequences() const;
  std::string compareContents() const;

  CacheModel model_;
  ElementType elementType_;
  PagedKVCache cache_;
  int nextStaleBlock_ = 0;
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_CACHEREPLAY_H
