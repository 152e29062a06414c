/* The fake language model of the engine's tests: its sizes, and its logits as a function of the
 * tokens before, which its step (FakeLanguage.c) computes by way of the cache and a test computes
 * directly. */
#ifndef LLMIR_UNITTESTS_ENGINE_FAKELANGUAGE_H
#define LLMIR_UNITTESTS_ENGINE_FAKELANGUAGE_H

#include "llmir/ABI.h"

enum {
  FAKE_VOCABULARY = 264, /* that of TestVocabulary.h */
  FAKE_BLOCK_SIZE = 4,
  FAKE_MAX_LENGTH = 64,
  FAKE_HEAD_DIM = 2,
  /* Its workspace contract, every byte of which a step writes. */
  FAKE_FIXED = 64,
  FAKE_PER_TOKEN = 24,
  FAKE_PER_SEQUENCE = 40,
  FAKE_PER_ROW = 8,
  FAKE_PER_WORKER = 128
};

#ifdef __cplusplus
extern "C" {
#endif

/* Continues the hash of a context by its next token. */
static inline uint64_t fake_language_extend(uint64_t hash, int32_t token) {
  hash = (hash ^ (uint64_t)(token + 1)) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

/* The logit of `token` after a context of that hash: 0 to 8. */
static inline float fake_language_logit(uint64_t hash, int32_t token) {
  uint64_t mixed = fake_language_extend(hash, token) * 0xBF58476D1CE4E5B9u;
  return (float)(mixed >> 44) * (8.0f / 1048576.0f);
}

/* The fake model's code, an llmir_step_fn. */
void llmir_model_step(const llmir_step_args *args, int32_t worker, int32_t num_workers);
extern const uint32_t llmir_model_abi_version;

#ifdef __cplusplus
}
#endif

#endif
