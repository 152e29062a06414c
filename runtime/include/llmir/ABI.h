/* The seam between compiled models and the runtime: plain C, versioned. The compiler emits code
 * that reads these structures and calls these functions; the runtime fills and implements them.
 * Both sides include this header, and neither computes an address in a KV cache in any other way
 * than through llmir_cache_layout (docs/CacheLayout.md draws it).
 */
#ifndef LLMIR_ABI_H
#define LLMIR_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define LLMIR_ABI_ASSERT static_assert
#else
#define LLMIR_ABI_ASSERT _Static_assert
#endif

/* Raised whenever a structure or the meaning of a field changes. A compiled model of another
 * version is refused when it is loaded. */
#define LLMIR_ABI_VERSION 1u

/* Bytes to which every tile of a cache, every weight and every workspace buffer is aligned. */
#define LLMIR_ALIGNMENT 64

/* Storage types of a KV cache. The numbers are part of the ABI and of checkpoints. */
typedef enum llmir_element_type { LLMIR_F32 = 0, LLMIR_F16 = 1, LLMIR_BF16 = 2 } llmir_element_type;

/* Bytes of one element of `type`, or 0 for an unknown type. */
static inline int64_t llmir_element_size(uint32_t type) {
  return type == LLMIR_F32 ? 4 : type == LLMIR_F16 || type == LLMIR_BF16 ? 2 : 0;
}

/* Where the parts of a paged KV cache lie. All strides are in bytes. The key of (block, layer,
 * head, token in the block, channel) is at
 *
 *   base + block * block_stride + layer * layer_stride + head * head_stride
 *        + token * key_token_stride + channel * key_channel_stride
 *
 * and the value at
 *
 *   base + block * block_stride + layer * layer_stride + head * head_stride + value_offset
 *        + token * value_token_stride + channel * value_channel_stride.
 *
 * Filled from the cache's type by llmir_cache_layout_init and from nothing else. Scale strides are
 * zero for storage types without scales. */
typedef struct llmir_cache_layout {
  uint32_t struct_size;
  uint32_t key_type;   /* llmir_element_type */
  uint32_t value_type; /* llmir_element_type */
  int32_t num_layers;
  int32_t num_kv_heads;
  int32_t key_head_dim;
  int32_t value_head_dim;
  int32_t block_size;  /* tokens a block */
  int32_t max_seq_len; /* tokens a sequence may have */
  int32_t reserved;
  int64_t block_stride;
  int64_t layer_stride;
  int64_t head_stride;
  int64_t value_offset; /* from a head's keys to its values */
  int64_t key_token_stride;
  int64_t key_channel_stride;
  int64_t value_token_stride;
  int64_t value_channel_stride;
  int64_t key_scale_offset;
  int64_t key_scale_stride;
  int64_t value_scale_offset;
  int64_t value_scale_stride;
} llmir_cache_layout;
LLMIR_ABI_ASSERT(sizeof(llmir_cache_layout) == 136, "llmir_cache_layout is part of the ABI");

/* The default layout: block, layer, head, then the head's keys (channel-major, so that the scores
 * of a block's tokens are computed side by side) and its values (token-major). A head's keys and
 * its values each start at a multiple of LLMIR_ALIGNMENT. The first ten fields must be set. */
static inline void llmir_cache_layout_init(llmir_cache_layout *layout) {
  int64_t key_size = llmir_element_size(layout->key_type);
  int64_t value_size = llmir_element_size(layout->value_type);
  int64_t keys = (int64_t)layout->block_size * layout->key_head_dim * key_size;
  int64_t values = (int64_t)layout->block_size * layout->value_head_dim * value_size;
  int64_t mask = LLMIR_ALIGNMENT - 1;
  layout->struct_size = (uint32_t)sizeof(llmir_cache_layout);
  layout->reserved = 0;
  layout->key_token_stride = key_size;
  layout->key_channel_stride = layout->block_size * key_size;
  layout->value_channel_stride = value_size;
  layout->value_token_stride = layout->value_head_dim * value_size;
  layout->value_offset = (keys + mask) & ~mask;
  layout->head_stride = layout->value_offset + ((values + mask) & ~mask);
  layout->layer_stride = layout->head_stride * layout->num_kv_heads;
  layout->block_stride = layout->layer_stride * layout->num_layers;
  layout->key_scale_offset = 0;
  layout->key_scale_stride = 0;
  layout->value_scale_offset = 0;
  layout->value_scale_stride = 0;
}

/* One cache as a step sees it. */
typedef struct llmir_cache_view {
  uint8_t *base;        /* block 0 */
  const int32_t *slots; /* [num_tokens] block * block_size + offset of each token; negative: none */
  const int32_t *table; /* [num_sequences][table_stride] block ids in order of position */
  int64_t table_stride; /* entries a row */
} llmir_cache_view;
LLMIR_ABI_ASSERT(sizeof(llmir_cache_view) == 32, "llmir_cache_view is part of the ABI");

/* One step over a ragged batch: the tokens of all sequences lie one after another. Sequence s owns
 * the tokens cu_lengths[s] .. cu_lengths[s + 1] - 1, which are the last ones of its context of
 * context_lengths[s] tokens. Every pointer is valid for the whole step; the caller has checked that
 * token ids, slots, tables and rows are in range. */
typedef struct llmir_step_args {
  uint32_t struct_size;
  int32_t num_tokens;
  int32_t num_sequences;
  int32_t num_rows;               /* rows of logits asked for */
  const int32_t *tokens;          /* [num_tokens] */
  const int32_t *positions;       /* [num_tokens] */
  const int32_t *cu_lengths;      /* [num_sequences + 1] */
  const int32_t *context_lengths; /* [num_sequences] this step's tokens included */
  const int32_t *rows;            /* [num_rows] indices into tokens */
  float *logits;                  /* [num_rows][vocabulary size] */
  const llmir_cache_view *caches; /* [num_caches] */
  int64_t num_caches;
  const uint8_t *weights; /* packed weights, LLMIR_ALIGNMENT-aligned */
  uint8_t *workspace;     /* LLMIR_ALIGNMENT-aligned; size: the manifest's memory contract */
  int32_t rank;           /* of this process in its mesh */
  int32_t world_size;
  /* Returns when all workers of the step have called it. */
  void (*barrier)(void *team, int32_t worker);
  void *team;
} llmir_step_args;
LLMIR_ABI_ASSERT(sizeof(llmir_step_args) == 120, "llmir_step_args is part of the ABI");

/* What a compiled model exports, by these names: its ABI version and its step. Every one of
 * num_workers threads calls the step with the same arguments and its own number. The step neither
 * allocates nor locks; it waits only in `barrier`. */
#define LLMIR_MODEL_ABI_VERSION_SYMBOL "llmir_model_abi_version" /* const uint32_t */
#define LLMIR_MODEL_STEP_SYMBOL "llmir_model_step"               /* llmir_step_fn */
typedef void (*llmir_step_fn)(const llmir_step_args *args, int32_t worker, int32_t num_workers);

/* The cache as a value in compiled functions that manage it themselves (llm.append_kv,
 * llm.block_table): a handle of the runtime's PagedKVCache. Not for use by several threads at once.
 */
typedef struct llmir_rt_cache llmir_rt_cache;

/* Makes room for `tokens` more tokens of each of `batch` sequences, creating sequences not seen
 * before, and writes the slot and the block of each new token ([batch][tokens]). Returns 0. On
 * failure nothing is reserved, slots are -1, blocks 0, the cache's status says why, and every later
 * call fails too; the result is the StatusCode. */
int32_t llmir_rt_cache_append(llmir_rt_cache *cache, const int32_t *seq_ids, int64_t batch,
                              int64_t tokens, int32_t *slots, int32_t *blocks);

/* Writes the block ids of each sequence ([batch][max_blocks]); entries past its end are 0. */
int32_t llmir_rt_cache_block_table(llmir_rt_cache *cache, const int32_t *seq_ids, int64_t batch,
                                   int64_t max_blocks, int32_t *table);

/* The address of block 0, if the cache has exactly the layout that the caller was compiled for;
 * otherwise null, and the cache's status says what differs. */
uint8_t *llmir_rt_cache_base(llmir_rt_cache *cache, const llmir_cache_layout *expected);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LLMIR_ABI_H */
