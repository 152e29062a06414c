// What the records of live pools and of checkpoints have in common.

#ifndef LLMIR_LIB_CACHE_CACHEDUMPPARTS_H
#define LLMIR_LIB_CACHE_CACHEDUMPPARTS_H

#include "llmir/Cache/CacheDump.h"

namespace llmir {

CacheDump::Layout describeCacheLayout(const llmir_cache_layout &layout);
/// Adds a sequence and enters it into the blocks that it names.
void addToDump(CacheDump &dump, CacheDump::Sequence sequence);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CACHEDUMPPARTS_H
