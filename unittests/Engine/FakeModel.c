/* A stand-in for compiled code: exports what LoadedModel looks for. The step writes its worker's
 * number into the workspace, which a real one never would do with its first bytes alone. Built
 * several times, with another ABI version or without the step, for the tests of refusals. */
#include "llmir/ABI.h"

#ifndef FAKE_ABI_VERSION
#define FAKE_ABI_VERSION LLMIR_ABI_VERSION
#endif

__attribute__((visibility("default"))) const uint32_t llmir_model_abi_version = FAKE_ABI_VERSION;

#ifndef FAKE_WITHOUT_STEP
__attribute__((visibility("default"))) void llmir_model_step(const llmir_step_args *args,
                                                             int32_t worker, int32_t num_workers) {
  args->workspace[worker] = (uint8_t)(worker + num_workers);
}
#endif
