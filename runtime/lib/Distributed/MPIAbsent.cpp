// MPISession where the build found no MPI: says so.

#include "llmir/Distributed/MPICollective.h"

namespace llmir {

namespace {

Status absent() {
  return unimplemented("this build has no MPI: install an MPI library (Debian: libopenmpi-dev "
                       "openmpi-bin), configure and build again");
}

} // namespace

StatusOr<std::unique_ptr<MPISession>> MPISession::start() { return absent(); }
MPISession::~MPISession() = default;
StatusOr<std::unique_ptr<Collective>> MPISession::world() { return absent(); }

} // namespace llmir
