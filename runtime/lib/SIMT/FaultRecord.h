// Adding to the record of faults.

#ifndef LLMIR_RUNTIME_LIB_SIMT_FAULTRECORD_H
#define LLMIR_RUNTIME_LIB_SIMT_FAULTRECORD_H

#include "llmir/SIMT/Faults.h"

namespace llmir::simt {

/// Keeps the fault unless one of its kind, kernel and place is there already. From any thread.
void recordFault(Fault fault);

} // namespace llmir::simt

#endif // LLMIR_RUNTIME_LIB_SIMT_FAULTRECORD_H
