// Cuts an LLVM module into one for each of its functions, so that code is generated side by side
// and an object depends on nothing but its own function (ObjectCache). Works on LLVM IR alone.

#ifndef LLMIR_LIB_TARGET_CPU_MODULEPARTS_H
#define LLMIR_LIB_TARGET_CPU_MODULEPARTS_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include <vector>

namespace mlir::llm {

/// One function, the constants that it reads and declarations of what it calls, as bitcode.
using ModulePart = llvm::SmallVector<char, 0>;

/// The parts of `module`, one for each function that it defines, in their order. Functions become
/// visible to the other parts, and to nobody else, under names that no library has; exported ones
/// keep theirs. Constants of the module go with every function that reads them, other variables
/// with the first part. Changes `module`.
std::vector<ModulePart> splitByFunction(llvm::Module &module);

} // namespace mlir::llm

#endif // LLMIR_LIB_TARGET_CPU_MODULEPARTS_H
