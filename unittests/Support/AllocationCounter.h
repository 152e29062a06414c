// How often a test program allocates: AllocationCounter.cpp, linked into the program, replaces the
// C library's allocator (and so operator new) by one that counts and hands on.

#ifndef LLMIR_UNITTESTS_SUPPORT_ALLOCATIONCOUNTER_H
#define LLMIR_UNITTESTS_SUPPORT_ALLOCATIONCOUNTER_H

#include <cstdint>

namespace llmir::testing {

/// Calls of malloc, calloc, realloc and their relatives by all threads so far; always 0 in a
/// program with AddressSanitizer or ThreadSanitizer, whose allocators stay.
int64_t countAllocations();

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_SUPPORT_ALLOCATIONCOUNTER_H
