// The entry points of NCCL that are used, declared after its public documentation: names, argument
// order and the numbers of its types have been stable since version 2.

#ifndef LLMIR_LIB_DISTRIBUTED_NCCLLIBRARY_H
#define LLMIR_LIB_DISTRIBUTED_NCCLLIBRARY_H

#include "llmir/Distributed/NCCLCollective.h"

#include <cstddef>

namespace llmir {

using NCCLCommunicator = void *;
using NCCLResult = int; ///< 0 is success.

/// Passed by value, as the library wants it.
struct NCCLUniqueId {
  char bytes[128];
};

enum class NCCLType : int { Int8 = 0, Float16 = 6, Float32 = 7, BFloat16 = 9 };
enum class NCCLOperation : int { Sum = 0 };
inline constexpr NCCLResult ncclInProgress = 7;

struct NCCLLibrary::Functions {
  NCCLResult (*getVersion)(int *version) = nullptr;
  NCCLResult (*getUniqueId)(NCCLUniqueId *id) = nullptr;
  NCCLResult (*initRank)(NCCLCommunicator *communicator, int size, NCCLUniqueId id,
                         int rank) = nullptr;
  NCCLResult (*destroy)(NCCLCommunicator communicator) = nullptr;
  NCCLResult (*asyncError)(NCCLCommunicator communicator, NCCLResult *error) = nullptr;
  const char *(*errorString)(NCCLResult result) = nullptr;
  NCCLResult (*allReduce)(const void *input, void *output, size_t count, NCCLType type,
                          NCCLOperation operation, NCCLCommunicator communicator,
                          void *stream) = nullptr;
  NCCLResult (*reduceScatter)(const void *input, void *output, size_t count, NCCLType type,
                              NCCLOperation operation, NCCLCommunicator communicator,
                              void *stream) = nullptr;
  NCCLResult (*allGather)(const void *input, void *output, size_t count, NCCLType type,
                          NCCLCommunicator communicator, void *stream) = nullptr;
  NCCLResult (*broadcast)(const void *input, void *output, size_t count, NCCLType type, int root,
                          NCCLCommunicator communicator, void *stream) = nullptr;
  NCCLResult (*send)(const void *data, size_t count, NCCLType type, int to,
                     NCCLCommunicator communicator, void *stream) = nullptr;
  NCCLResult (*receive)(void *data, size_t count, NCCLType type, int from,
                        NCCLCommunicator communicator, void *stream) = nullptr;

  /// Internal, with the library's words, when a call did not succeed.
  Status statusOf(NCCLResult result, const char *call) const;
};

} // namespace llmir

#endif // LLMIR_LIB_DISTRIBUTED_NCCLLIBRARY_H
