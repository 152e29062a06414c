/* A step in the form of compiled code that computes next to nothing, but does all that a real one
 * does with its arguments: each token's id and position go into the cache at its slot, and a row's
 * logits are a function of the ids that the block table leads to. A context that is not as it was
 * stored gives logits that are not numbers. */
#include "FakeLanguage.h"

#include <string.h>

__attribute__((visibility("default"))) const uint32_t llmir_model_abi_version = LLMIR_ABI_VERSION;

static llmir_cache_layout make_layout(void) {
  llmir_cache_layout layout = {0};
  layout.key_type = LLMIR_F32;
  layout.value_type = LLMIR_F32;
  layout.num_layers = 1;
  layout.num_kv_heads = 1;
  layout.key_head_dim = FAKE_HEAD_DIM;
  layout.value_head_dim = FAKE_HEAD_DIM;
  layout.block_size = FAKE_BLOCK_SIZE;
  layout.max_seq_len = FAKE_MAX_LENGTH;
  llmir_cache_layout_init(&layout);
  return layout;
}

static float *key_of(const llmir_cache_layout *layout, const llmir_cache_view *cache, int64_t slot,
                     int64_t channel) {
  return (float *)(cache->base + slot / layout->block_size * layout->block_stride +
                   slot % layout->block_size * layout->key_token_stride +
                   channel * layout->key_channel_stride);
}

static void store_token(const llmir_step_args *args, int32_t token) {
  llmir_cache_layout layout = make_layout();
  const llmir_cache_view *cache = &args->caches[0];
  *key_of(&layout, cache, cache->slots[token], 0) = (float)args->tokens[token];
  *key_of(&layout, cache, cache->slots[token], 1) = (float)args->positions[token];
}

static void compute_row(const llmir_step_args *args, int32_t row) {
  llmir_cache_layout layout = make_layout();
  const llmir_cache_view *cache = &args->caches[0];
  int32_t token = args->rows[row];
  int32_t sequence = 0;
  while (args->cu_lengths[sequence + 1] <= token)
    ++sequence;
  int32_t position = args->positions[token];
  int is_wrong =
      position != args->context_lengths[sequence] - (args->cu_lengths[sequence + 1] - token);
  uint64_t hash = 0;
  for (int32_t p = 0; p <= position; ++p) {
    int64_t block = cache->table[sequence * cache->table_stride + p / FAKE_BLOCK_SIZE];
    int64_t slot = block * FAKE_BLOCK_SIZE + p % FAKE_BLOCK_SIZE;
    is_wrong |= *key_of(&layout, cache, slot, 1) != (float)p;
    hash = fake_language_extend(hash, (int32_t)*key_of(&layout, cache, slot, 0));
  }
  float *logits = args->logits + (int64_t)row * FAKE_VOCABULARY;
  for (int32_t v = 0; v < FAKE_VOCABULARY; ++v)
    logits[v] = is_wrong ? __builtin_nanf("") : fake_language_logit(hash, v);
}

__attribute__((visibility("default"))) void llmir_model_step(const llmir_step_args *args,
                                                             int32_t worker, int32_t num_workers) {
  if (worker == 0)
    memset(args->workspace, 0xA5,
           (size_t)(FAKE_FIXED + FAKE_PER_TOKEN * args->num_tokens +
                    FAKE_PER_SEQUENCE * args->num_sequences + FAKE_PER_ROW * args->num_rows +
                    FAKE_PER_WORKER * num_workers));
  for (int32_t token = worker; token < args->num_tokens; token += num_workers)
    store_token(args, token);
  args->barrier(args->team, worker);
  for (int32_t row = worker; row < args->num_rows; row += num_workers)
    compute_row(args, row);
}
