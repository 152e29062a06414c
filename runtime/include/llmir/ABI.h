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
#define LLMIR_ABI_VERSION 2u

/* Bytes to which every tile of a cache, every weight and every workspace buffer is aligned. */
#define LLMIR_ALIGNMENT 64

/* Storage types of a KV cache. The numbers are part of the ABI and of checkpoints. An i4 code c in
 * -7 .. 7 is stored as c + 8 in four bits. */
typedef enum llmir_element_type {
  LLMIR_F32 = 0,
  LLMIR_F16 = 1,
  LLMIR_BF16 = 2,
  LLMIR_F8E4M3FN = 3,
  LLMIR_F8E5M2 = 4,
  LLMIR_I8 = 5,
  LLMIR_I4 = 6
} llmir_element_type;

/* Bits of one element of `type`, or 0 for an unknown type. */
static inline int64_t llmir_element_bits(uint32_t type) {
  static const int64_t bits[] = {32, 16, 16, 8, 8, 8, 4};
  return type <= LLMIR_I4 ? bits[type] : 0;
}

/* Bytes of one element of `type`; 0 for i4, of which two share a byte, and for an unknown type. */
static inline int64_t llmir_element_size(uint32_t type) { return llmir_element_bits(type) / 8; }

/* Which elements of a cache share a scale: none has one; all; those of a (layer, head); of a
 * (token, layer, head); of a (token, layer, head, group of neighbouring channels). Scales of the
 * second and third kind are constants (llmir_cache_view); the others are computed when a token is
 * stored and lie in its block. */
typedef enum llmir_scale_granularity {
  LLMIR_SCALE_NONE = 0,
  LLMIR_SCALE_TENSOR = 1,
  LLMIR_SCALE_HEAD = 2,
  LLMIR_SCALE_TOKEN = 3,
  LLMIR_SCALE_GROUP = 4
} llmir_scale_granularity;

/* How a head's elements follow one another. Pairs: two channels of a key, or two tokens of a
 * value's channel, lie side by side, as dot products of two bf16 want them. */
typedef enum llmir_cache_arrangement {
  LLMIR_CHANNEL_MAJOR_KEYS = 0,
  LLMIR_TOKEN_MAJOR_KEYS = 1,
  LLMIR_PAIRS = 2
} llmir_cache_arrangement;

/* Where the parts of a paged KV cache lie. All strides are in bytes. With
 *
 *   head(b, l, h) = base + b * block_stride + l * layer_stride + h * head_stride
 *
 * the key of token t of the block and channel c, and its value, are at
 *
 *   head + t * key_token_stride + (c / key_interleave) * key_channel_stride
 *        + (c % key_interleave) * bytes of an element
 *   head + value_offset + (t / value_interleave) * value_token_stride + c * value_channel_stride
 *        + (t % value_interleave) * bytes of an element.
 *
 * Two i4 channels share a byte: channel c is in the byte of channel c % (head size / 2), in its
 * low four bits when c is less than half the head size. The stored scale of token t and group g
 * of channels is at
 *
 *   head + key_scale_offset + g * key_scale_stride + t * bytes of a scale
 *   head + value_scale_offset + g * value_scale_stride + t * bytes of a scale.
 *
 * A token attends to the last `window` positions up to its own (0: to all) and to the first
 * num_sinks. Filled from the cache's type by llmir_cache_layout_init and from nothing else. Scale
 * fields that do not apply are zero. */
typedef struct llmir_cache_layout {
  uint32_t struct_size;
  uint32_t key_type;   /* llmir_element_type */
  uint32_t value_type; /* llmir_element_type */
  int32_t num_layers;
  int32_t num_kv_heads;
  int32_t key_head_dim;
  int32_t value_head_dim;
  int32_t block_size;               /* tokens a block */
  int32_t max_seq_len;              /* tokens a sequence may have */
  uint32_t arrangement;             /* llmir_cache_arrangement */
  uint32_t key_scale_granularity;   /* llmir_scale_granularity */
  uint32_t value_scale_granularity; /* llmir_scale_granularity */
  uint32_t scale_type;              /* llmir_element_type: f32, f16 or bf16 */
  int32_t key_scale_group;          /* channels a group */
  int32_t value_scale_group;
  int32_t window;
  int32_t num_sinks;
  int32_t key_interleave;
  int32_t value_interleave;
  int32_t reserved;
  int64_t block_stride;
  int64_t layer_stride;
  int64_t head_stride;
  int64_t value_offset; /* from a head's keys to its values */
  int64_t key_token_stride;
  int64_t key_channel_stride;
  int64_t value_token_stride;
  int64_t value_channel_stride;
  int64_t key_scale_offset; /* from a head's keys */
  int64_t key_scale_stride;
  int64_t value_scale_offset; /* from a head's keys */
  int64_t value_scale_stride;
} llmir_cache_layout;
LLMIR_ABI_ASSERT(sizeof(llmir_cache_layout) == 176, "llmir_cache_layout is part of the ABI");

/* Groups of channels that have a stored scale for each token: 0 where scales are constants. */
static inline int64_t llmir_stored_scale_groups(uint32_t granularity, int64_t head_dim,
                                                int64_t group) {
  return granularity == LLMIR_SCALE_TOKEN   ? 1
         : granularity == LLMIR_SCALE_GROUP ? head_dim / group
                                            : 0;
}

/* Fills in the strides from the fields before key_interleave, which must be set. Blocks hold
 * layers, layers heads; a head holds its keys, its values, then the stored scales of keys and of
 * values. Keys, values, scales and heads each start at a multiple of LLMIR_ALIGNMENT, but the
 * values' scales follow the keys'. */
static inline void llmir_cache_layout_init(llmir_cache_layout *layout) {
  int64_t tokens = layout->block_size;
  int64_t key_bits = llmir_element_bits(layout->key_type);
  int64_t value_bits = llmir_element_bits(layout->value_type);
  int64_t key_size = key_bits < 8 ? 1 : key_bits / 8;
  int64_t value_size = value_bits < 8 ? 1 : value_bits / 8;
  int64_t key_units = key_bits < 8 ? layout->key_head_dim / 2 : layout->key_head_dim;
  int64_t value_units = value_bits < 8 ? layout->value_head_dim / 2 : layout->value_head_dim;
  int64_t pairs = layout->arrangement == LLMIR_PAIRS ? 2 : 1;
  int64_t scale_size = llmir_element_bits(layout->scale_type) / 8;
  int64_t key_groups = llmir_stored_scale_groups(layout->key_scale_granularity,
                                                 layout->key_head_dim, layout->key_scale_group);
  int64_t value_groups = llmir_stored_scale_groups(
      layout->value_scale_granularity, layout->value_head_dim, layout->value_scale_group);
  int64_t mask = LLMIR_ALIGNMENT - 1;
  int64_t end = tokens * key_units * key_size;
  layout->struct_size = (uint32_t)sizeof(llmir_cache_layout);
  layout->reserved = 0;
  layout->key_interleave = (int32_t)pairs;
  layout->value_interleave = (int32_t)pairs;
  if (layout->arrangement == LLMIR_TOKEN_MAJOR_KEYS) {
    layout->key_token_stride = key_units * key_size;
    layout->key_channel_stride = key_size;
  } else {
    layout->key_token_stride = pairs * key_size;
    layout->key_channel_stride = tokens * pairs * key_size;
  }
  layout->value_channel_stride = pairs * value_size;
  layout->value_token_stride = value_units * pairs * value_size;
  layout->value_offset = (end + mask) & ~mask;
  end = layout->value_offset + tokens * value_units * value_size;
  layout->key_scale_offset = key_groups ? (end + mask) & ~mask : 0;
  layout->key_scale_stride = key_groups ? tokens * scale_size : 0;
  if (key_groups)
    end = layout->key_scale_offset + key_groups * layout->key_scale_stride;
  layout->value_scale_offset = !value_groups ? 0 : key_groups ? end : (end + mask) & ~mask;
  layout->value_scale_stride = value_groups ? tokens * scale_size : 0;
  if (value_groups)
    end = layout->value_scale_offset + value_groups * layout->value_scale_stride;
  layout->head_stride = (end + mask) & ~mask;
  layout->layer_stride = layout->head_stride * layout->num_kv_heads;
  layout->block_stride = layout->layer_stride * layout->num_layers;
}

/* One cache as a step sees it. */
typedef struct llmir_cache_view {
  uint8_t *base;        /* block 0 */
  const int32_t *slots; /* [num_tokens] block * block_size + offset of each token; negative: none */
  const int32_t *table; /* [num_sequences][table_stride] block ids in order of position */
  int64_t table_stride; /* entries a row */
  /* Constant scales [num_layers][num_kv_heads], for tensor and head granularity; else null. */
  const float *key_scales;
  const float *value_scales;
} llmir_cache_view;
LLMIR_ABI_ASSERT(sizeof(llmir_cache_view) == 48, "llmir_cache_view is part of the ABI");

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
  /* Which of its sequence's tokens of this step a token sees, one bit each ([num_tokens], at most
   * 64 tokens a sequence); null: itself and those before it. What came before the step is seen. */
  const uint64_t *tree_mask;
  /* Adds up `count` floats of all ranks, in rank order, in place and equal on every rank. Called
   * by one worker of each rank, in the same order. On failure `data` is left as it was and the
   * collective keeps the reason, which the caller of the step asks for. Null when world_size is 1.
   */
  void (*all_reduce)(void *collective, float *data, int64_t count);
  void *collective;
} llmir_step_args;
LLMIR_ABI_ASSERT(sizeof(llmir_step_args) == 144, "llmir_step_args is part of the ABI");

/* What a compiled model exports, by these names: its ABI version and its step. Every one of
 * num_workers threads calls the step with the same arguments and its own number. The step neither
 * allocates nor locks; it waits only in `barrier`. */
#define LLMIR_MODEL_ABI_VERSION_SYMBOL "llmir_model_abi_version" /* const uint32_t */
#define LLMIR_MODEL_STEP_SYMBOL "llmir_model_step"               /* llmir_step_fn */
typedef void (*llmir_step_fn)(const llmir_step_args *args, int32_t worker, int32_t num_workers);

/* A step by its symbol: what the main of a model's executable form hands to the runtime, which
 * looks no symbols up in it. A model that was compiled for several levels of features has a step
 * for each (docs/Artifact.md). */
typedef struct llmir_linked_step {
  const char *symbol;
  llmir_step_fn step;
} llmir_linked_step;

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

/* The constant scales of keys and of values, [num_layers][num_kv_heads], which are there when
 * llmir_rt_cache_base gave an address and the layout has such scales. */
const float *llmir_rt_cache_key_scales(llmir_rt_cache *cache);
const float *llmir_rt_cache_value_scales(llmir_rt_cache *cache);

/* A new, empty cache of `num_blocks` blocks, whose arrays (as PagedKVCache takes and gives them)
 * are of `element_type`: f32, f16 or bf16. Null without a layout. When there is no memory, or the
 * layout is none, the cache's status says so and every call fails. Whoever makes it gives it back
 * with llmir_rt_cache_free, which takes null too. */
llmir_rt_cache *llmir_rt_cache_create(const llmir_cache_layout *layout, uint32_t element_type,
                                      int64_t num_blocks);
void llmir_rt_cache_free(llmir_rt_cache *cache);

/* What llmir_rt_cache_lookup reads and where to. */
typedef struct llmir_cache_lookup {
  const llmir_cache_layout *expected; /* the layout that the caller was compiled for */
  const int32_t *table;               /* [num_sequences][table_stride] block ids */
  const int32_t *lengths;             /* [num_sequences] tokens to read */
  void *keys;                         /* [num_sequences][num_tokens][KV heads][key head size] */
  void *values;                       /* [num_sequences][num_tokens][KV heads][value head size] */
  int64_t num_sequences;
  int64_t num_tokens;   /* rows of the results for each sequence */
  int64_t table_stride; /* columns of the table */
  int64_t layer;
  uint32_t element_type; /* of keys and values: f32, f16 or bf16 */
  uint32_t reserved;
} llmir_cache_lookup;
LLMIR_ABI_ASSERT(sizeof(llmir_cache_lookup) == 80, "llmir_cache_lookup is part of the ABI");

/* Copies the first lengths[s] keys and values of each sequence out of a layer; rows past a length
 * are zero. Returns 0. On failure (a length past the table or the rows, a block not in use, another
 * layout) all rows are zero, the cache's status says why, and every later call fails too; the
 * result is the StatusCode. */
int32_t llmir_rt_cache_lookup(llmir_rt_cache *cache, const llmir_cache_lookup *lookup);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LLMIR_ABI_H */
