// Copies what is stored of a token from one slot of a cache to another: codes and scales as they
// are, for every storage type and arrangement, so that nothing is rounded twice.

#ifndef LLMIR_CACHE_STOREDTOKENCOPY_H
#define LLMIR_CACHE_STOREDTOKENCOPY_H

#include "llmir/ABI.h"

#include <cstdint>

namespace llmir {

/// Copies keys, values and stored scales of all layers and heads. `base` is block 0 of a cache of
/// that layout; slots are block × block size + offset. Writes nothing of other tokens.
void copyStoredToken(const llmir_cache_layout &layout, uint8_t *base, int32_t fromSlot,
                     int32_t toSlot);

} // namespace llmir

#endif // LLMIR_CACHE_STOREDTOKENCOPY_H
