/* A stand-in for libnccl.so.2: groups of threads over host memory, enough to see that every entry
 * point gets what it should and that ranks hear of each other. Operations are done at once, not
 * queued; messages are not. Compiled with FAKE_WITHOUT_SEND it lacks a function. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { maxRanks = 8, maxGroups = 64 };

typedef struct {
  char bytes[128];
} UniqueId;

typedef struct {
  char name[128];
  pthread_cond_t moved;
  int size, joined, arrived;
  unsigned long meetings;
  const void *inputs[maxRanks];
} Group;

typedef struct {
  Group *group;
  int rank;
  int pendingError;
} Communicator;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Group groups[maxGroups];
static int numGroups = 0;

static size_t bytesOf(size_t count, int type) {
  return count * (type == 7 ? 4 : type == 6 || type == 9 ? 2 : 1);
}

/* Returns when all ranks have called it. */
static void meet(Group *group) {
  pthread_mutex_lock(&lock);
  unsigned long meeting = group->meetings;
  if (++group->arrived == group->size) {
    group->arrived = 0;
    ++group->meetings;
    pthread_cond_broadcast(&group->moved);
  }
  while (group->meetings == meeting)
    pthread_cond_wait(&group->moved, &lock);
  pthread_mutex_unlock(&lock);
}

int ncclGetVersion(int *version) {
  *version = 21803;
  return 0;
}

int ncclGetUniqueId(UniqueId *id) {
  memset(id, 0, sizeof *id);
  pthread_mutex_lock(&lock);
  int number = numGroups < maxGroups ? numGroups++ : -1;
  pthread_mutex_unlock(&lock);
  if (number < 0)
    return 4;
  strcpy(id->bytes, "fake group ");
  id->bytes[11] = (char)('0' + number);
  strcpy(groups[number].name, id->bytes);
  pthread_cond_init(&groups[number].moved, 0);
  return 0;
}

int ncclCommInitRank(void **result, int size, UniqueId id, int rank) {
  Group *group = 0;
  for (int i = 0; i < numGroups; ++i)
    if (strcmp(groups[i].name, id.bytes) == 0)
      group = &groups[i];
  if (!group || size > maxRanks || rank < 0 || rank >= size)
    return 4;
  Communicator *communicator = calloc(1, sizeof *communicator);
  if (!communicator)
    return 2;
  communicator->group = group;
  communicator->rank = rank;
  pthread_mutex_lock(&lock);
  group->size = size;
  pthread_mutex_unlock(&lock);
  meet(group);
  *result = communicator;
  return 0;
}

int ncclCommDestroy(void *c) {
  free(c);
  return 0;
}

int ncclCommGetAsyncError(void *c, int *error) {
  *error = ((Communicator *)c)->pendingError;
  return 0;
}

const char *ncclGetErrorString(int result) {
  return result == 4 ? "invalid argument" : result == 1 ? "unhandled cuda error" : "other";
}

/* What a rank computes from everybody's inputs into memory of its own. */
typedef void (*Compute)(const Communicator *c, void *result, size_t bytes, int root);

/* Everybody shows the input, computes, and writes when nobody reads any more. */
static int together(void *c, const void *input, void *output, size_t bytes, size_t outputBytes,
                    int root, Compute compute, void *stream) {
  Communicator *communicator = c;
  Group *group = communicator->group;
  void *result = malloc(outputBytes + 1);
  if (!stream || !result)
    return 4;
  group->inputs[communicator->rank] = input;
  meet(group);
  compute(communicator, result, bytes, root);
  meet(group);
  memcpy(output, result, outputBytes);
  free(result);
  return 0;
}

static void gather(const Communicator *c, void *result, size_t bytes, int root) {
  (void)root;
  for (int rank = 0; rank < c->group->size; ++rank)
    memcpy((char *)result + (size_t)rank * bytes, c->group->inputs[rank], bytes);
}

static void copyOfRoot(const Communicator *c, void *result, size_t bytes, int root) {
  memcpy(result, c->group->inputs[root], bytes);
}

/* f32 only; other types are copied, which is their sum in a group of one. */
static void sumFrom(const Communicator *c, void *result, size_t bytes, size_t offset) {
  memcpy(result, (const char *)c->group->inputs[0] + offset, bytes);
  for (int rank = 1; rank < c->group->size; ++rank)
    for (size_t i = 0; i < bytes / 4; ++i)
      ((float *)result)[i] += ((const float *)((const char *)c->group->inputs[rank] + offset))[i];
}
static void sum(const Communicator *c, void *result, size_t bytes, int root) {
  (void)root;
  sumFrom(c, result, bytes, 0);
}
static void sumOfPart(const Communicator *c, void *result, size_t bytes, int root) {
  (void)root;
  sumFrom(c, result, bytes, (size_t)c->rank * bytes);
}

int ncclAllReduce(const void *input, void *output, size_t count, int type, int operation, void *c,
                  void *stream) {
  size_t bytes = bytesOf(count, type);
  return operation != 0 ? 4 : together(c, input, output, bytes, bytes, 0, &sum, stream);
}

int ncclReduceScatter(const void *input, void *output, size_t count, int type, int operation,
                      void *c, void *stream) {
  size_t bytes = bytesOf(count, type);
  return operation != 0 ? 4 : together(c, input, output, bytes, bytes, 0, &sumOfPart, stream);
}

int ncclAllGather(const void *input, void *output, size_t count, int type, void *c, void *stream) {
  size_t bytes = bytesOf(count, type);
  size_t all = bytes * (size_t)((Communicator *)c)->group->size;
  return together(c, input, output, bytes, all, 0, &gather, stream);
}

/* A broadcast of 13 bytes makes the device fail later. */
int ncclBroadcast(const void *input, void *output, size_t count, int type, int root, void *c,
                  void *stream) {
  if (count == 13)
    ((Communicator *)c)->pendingError = 1;
  size_t bytes = bytesOf(count, type);
  return together(c, input, output, bytes, bytes, root, &copyOfRoot, stream);
}

#ifndef FAKE_WITHOUT_SEND
int ncclSend(const void *data, size_t count, int type, int peer, void *c, void *stream) {
  (void)data, (void)count, (void)type, (void)peer, (void)c, (void)stream;
  return 4;
}
#endif

int ncclRecv(void *data, size_t count, int type, int peer, void *c, void *stream) {
  (void)data, (void)count, (void)type, (void)peer, (void)c, (void)stream;
  return 4;
}
