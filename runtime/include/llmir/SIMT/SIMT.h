/* The seam of GPU kernels that run on a CPU (convert-gpu-to-simt): plain C. A launch runs the
 * blocks of its grid one after another; the threads of a block are fibers of the calling thread
 * that take turns where they meet, so a run is repeatable. What a kernel does wrong (an access out
 * of bounds, a race in workgroup memory, a barrier that not all threads reach) is recorded, not
 * done.
 */
#ifndef LLMIR_SIMT_SIMT_H
#define LLMIR_SIMT_SIMT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A thread of a block, as its kernel sees it. The order of the fields is part of the seam. */
typedef struct llmir_simt_thread {
  int64_t thread_id[3]; /* x, y, z */
  int64_t block_id[3];
  int64_t block_dim[3];
  int64_t grid_dim[3];
  uint8_t *workgroup; /* the block's workgroup memory, 64-aligned */
} llmir_simt_thread;

/* A launch: `body` runs once for each thread. Workgroup memory holds no defined value at first. */
typedef struct llmir_simt_launch_args {
  const char *name;
  void (*body)(const void *arguments, llmir_simt_thread *thread);
  const void *arguments;
  int64_t grid_dim[3];
  int64_t block_dim[3];
  int64_t subgroup_size;
  int64_t workgroup_bytes;
} llmir_simt_launch_args;

/* Runs all threads; returns when they have ended, or when a block cannot go on. */
void llmir_simt_launch(const llmir_simt_launch_args *launch);

/* Returns when all threads of the block have called it with the same `where`: the place of the
 * barrier, and equal pointers for one place. */
void llmir_simt_barrier(llmir_simt_thread *thread, const char *where);

/* Modes of llmir_simt_shuffle: the lane that a thread reads from, in its segment of `width`
 * neighbouring lanes. */
enum {
  LLMIR_SIMT_SHUFFLE_XOR = 0,  /* lane ^ offset */
  LLMIR_SIMT_SHUFFLE_UP = 1,   /* lane - offset */
  LLMIR_SIMT_SHUFFLE_DOWN = 2, /* lane + offset */
  LLMIR_SIMT_SHUFFLE_INDEX = 3 /* first lane of the segment + offset */
};

/* Returns the `bits` of another thread of the subgroup, when all threads of the subgroup that have
 * not ended have called it. `*valid` says whether that thread is in the segment and has taken part;
 * if not, the caller's own bits are returned. */
int64_t llmir_simt_shuffle(llmir_simt_thread *thread, int64_t bits, int32_t mode, int32_t offset,
                           int32_t width, uint8_t *valid, const char *where);

/* Records an access to element `index` of `size`, in the dimension where it is out of bounds. */
void llmir_simt_out_of_bounds(llmir_simt_thread *thread, int64_t index, int64_t size,
                              const char *where);

/* Notes an access to the element at byte `offset` of the workgroup memory: records a race with
 * another thread's access since the last barrier, and a read of what no thread has written. */
void llmir_simt_workgroup_access(llmir_simt_thread *thread, int64_t offset, int32_t is_write,
                                 const char *where);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LLMIR_SIMT_SIMT_H */
