// One process of an MPI group that runs its rank's part of a model and writes the logits to
// <prefix>.<rank>.logits. Started by ShardedModelTest through mpirun; not a test program by itself.

#include "ShardedSteps.h"

#include "llmir/Distributed/MPICollective.h"

#include <cstdio>

using namespace llmir;

static Status run(const std::string &prefix) {
  auto session = MPISession::start();
  if (!session)
    return session.status();
  auto world = (*session)->world();
  if (!world)
    return world.status();
  int32_t rank = (*world)->rank();
  auto model = LoadedModel::open(testing::rankPath(prefix, rank));
  LLMIR_RETURN_IF_ERROR((*world)->agree(model.status()));
  auto logits = testing::runConversation(**model, /*workers=*/2, world->get());
  if (!logits)
    return logits.status();
  std::string path = prefix + "." + std::to_string(rank) + ".logits";
  FILE *file = std::fopen(path.c_str(), "wb");
  if (!file)
    return internalError("cannot write " + path);
  size_t written = std::fwrite(logits->data(), sizeof(float), logits->size(), file);
  bool closed = std::fclose(file) == 0;
  return closed && written == logits->size() ? Status::ok() : internalError("cannot write " + path);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  Status status = run(argv[1]);
  if (!status.isOk())
    std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.isOk() ? 0 : 1;
}
