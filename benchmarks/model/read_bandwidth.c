/* Prints the memory read bandwidth of THREADS threads in GB/s: each thread sums its own part of a
 * buffer that no cache holds, in huge pages, several times; the best pass counts. A limit that the
 * benchmark's rates are quoted against; not a benchmark of LLMIR itself.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { PASSES = 6 };

typedef struct {
  const uint64_t *words;
  size_t count;
  pthread_barrier_t *barrier;
  double *pass_seconds; /* written by the first thread only */
  uint64_t sum;
} part;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static void *read_part(void *argument) {
  part *self = argument;
  uint64_t *words = (uint64_t *)self->words;
  for (size_t i = 0; i < self->count; ++i) /* first touch by the reader */
    words[i] = i;
  for (int pass = 0; pass < PASSES; ++pass) {
    pthread_barrier_wait(self->barrier);
    double start = now();
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= self->count; i += 8)
      for (int lane = 0; lane < 8; ++lane)
        sums[lane] += words[i + lane];
    for (int lane = 0; lane < 8; ++lane)
      self->sum += sums[lane];
    pthread_barrier_wait(self->barrier);
    if (self->pass_seconds)
      self->pass_seconds[pass] = now() - start;
  }
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  size_t bytes = (size_t)512 << 20;
  if (threads < 1 || threads > 64) {
    fprintf(stderr, "expected 1 to 64 threads\n");
    return 2;
  }
  uint64_t *buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  madvise(buffer, bytes, MADV_HUGEPAGE);
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, threads);
  double seconds[PASSES];
  part parts[64];
  pthread_t handles[64];
  size_t count = bytes / sizeof(uint64_t) / threads;
  for (int i = 0; i < threads; ++i) {
    parts[i] = (part){buffer + i * count, count, &barrier, i == 0 ? seconds : NULL, 0};
    pthread_create(&handles[i], NULL, read_part, &parts[i]);
  }
  uint64_t sum = 0;
  for (int i = 0; i < threads; ++i) {
    pthread_join(handles[i], NULL);
    sum += parts[i].sum;
  }
  double best = seconds[0];
  for (int pass = 1; pass < PASSES; ++pass)
    best = seconds[pass] < best ? seconds[pass] : best;
  printf("%.3f %llu\n", count * threads * sizeof(uint64_t) / best * 1e-9,
         (unsigned long long)(sum & 1));
  return 0;
}
