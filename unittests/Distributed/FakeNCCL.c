/* A stand-in for libnccl.so.2: groups of one rank over host memory, enough to see that every entry
 * point gets what it should. Compiled with FAKE_WITHOUT_SEND it lacks a function. */
#include <string.h>

typedef struct {
  char bytes[128];
} UniqueId;

static int communicator = 42;
static int pendingError = 0;

static size_t bytesOf(size_t count, int type) {
  return count * (type == 7 ? 4 : type == 6 || type == 9 ? 2 : 1);
}

int ncclGetVersion(int *version) {
  *version = 21803;
  return 0;
}

int ncclGetUniqueId(UniqueId *id) {
  memset(id, 0, sizeof *id);
  strcpy(id->bytes, "fake group");
  return 0;
}

int ncclCommInitRank(void **result, int size, UniqueId id, int rank) {
  if (size != 1 || rank != 0 || strcmp(id.bytes, "fake group") != 0)
    return 4;
  *result = &communicator;
  return 0;
}

int ncclCommDestroy(void *c) { return c == &communicator ? 0 : 4; }

int ncclCommGetAsyncError(void *c, int *error) {
  *error = pendingError;
  return c == &communicator ? 0 : 4;
}

const char *ncclGetErrorString(int result) {
  return result == 4 ? "invalid argument" : result == 1 ? "unhandled cuda error" : "other";
}

int ncclAllReduce(const void *input, void *output, size_t count, int type, int operation, void *c,
                  void *stream) {
  if (operation != 0 || c != &communicator || !stream)
    return 4;
  memmove(output, input, bytesOf(count, type));
  return 0;
}

int ncclReduceScatter(const void *input, void *output, size_t count, int type, int operation,
                      void *c, void *stream) {
  return ncclAllReduce(input, output, count, type, operation, c, stream);
}

int ncclAllGather(const void *input, void *output, size_t count, int type, void *c, void *stream) {
  return ncclAllReduce(input, output, count, type, 0, c, stream);
}

/* A broadcast of 13 bytes makes the device fail later. */
int ncclBroadcast(const void *input, void *output, size_t count, int type, int root, void *c,
                  void *stream) {
  if (root != 0)
    return 4;
  if (count == 13)
    pendingError = 1;
  return ncclAllReduce(input, output, count, type, 0, c, stream);
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
