// BlockUse: what a block of a dumped pool is used for, in one word: what is counted and coloured.

#ifndef LLMIR_LIB_CACHE_BLOCKUSE_H
#define LLMIR_LIB_CACHE_BLOCKUSE_H

#include "llmir/Cache/CacheDump.h"

#include <cstddef>

namespace llmir {

/// In the order in which they are drawn.
enum class BlockUse { OneSequence, Shared, TreeAlone, Others, Free };
inline constexpr size_t numBlockUses = 5;

inline BlockUse useOf(const CacheDump::Block &block) {
  if (block.owners == 0)
    return BlockUse::Free;
  if (block.sequences.empty())
    return block.isInTree ? BlockUse::TreeAlone : BlockUse::Others;
  return block.owners == 1 ? BlockUse::OneSequence : BlockUse::Shared;
}

struct BlockUseLook {
  const char *name;
  const char *colour;
};
/// Of each use, by its number.
inline constexpr BlockUseLook blockUseLooks[numBlockUses] = {{"one sequence", "#5b8def"},
                                                             {"shared", "#2d4f9e"},
                                                             {"tree alone", "#c9b38c"},
                                                             {"others", "#e07070"},
                                                             {"free", "#e8e8e8"}};

inline const BlockUseLook &lookOf(BlockUse use) { return blockUseLooks[static_cast<size_t>(use)]; }

} // namespace llmir

#endif // LLMIR_LIB_CACHE_BLOCKUSE_H
