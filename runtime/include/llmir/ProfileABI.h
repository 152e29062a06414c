/* The part of the seam (llmir/ABI.h) that only models compiled with --profile have: their step with
 * a clock around each call of its plan. Plain C. */
#ifndef LLMIR_PROFILEABI_H
#define LLMIR_PROFILEABI_H

#include "llmir/ABI.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a model that was compiled for profiling exports beside its step: the same step, which adds
 * up what each call of its plan takes, and a table of the calls as JSON (docs/Artifact.md), ended
 * by a zero. */
typedef struct llmir_profile {
  int64_t (*now)(void); /* nanoseconds */
  /* [num_workers][row_stride]: nanoseconds of a worker in call c at 2c, and behind it in its
   * barrier at 2c + 1, summed over the call's repetitions. The caller clears it. */
  int64_t *times;
  int64_t row_stride;
} llmir_profile;
LLMIR_ABI_ASSERT(sizeof(llmir_profile) == 24, "llmir_profile is part of the ABI");
#define LLMIR_MODEL_PROFILE_SYMBOL "llmir_model_profile"             /* llmir_profile_fn */
#define LLMIR_MODEL_PROFILE_TABLE_SYMBOL "llmir_model_profile_table" /* const char[] */
typedef void (*llmir_profile_fn)(const llmir_step_args *args, int32_t worker, int32_t num_workers,
                                 const llmir_profile *profile);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LLMIR_PROFILEABI_H */
