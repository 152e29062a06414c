// MPISession: the group of all processes that mpirun started. In a library of its own
// (LLMIRDistributedMPI), so that nobody else depends on MPI; built without MPI it says so.

#ifndef LLMIR_DISTRIBUTED_MPICOLLECTIVE_H
#define LLMIR_DISTRIBUTED_MPICOLLECTIVE_H

#include "llmir/Base/Status.h"
#include "llmir/Distributed/Collective.h"

#include <memory>

namespace llmir {

/// MPI for as long as it lives. MPI starts once in a process: make one session, in the main thread.
class MPISession {
public:
  /// Initialises MPI unless somebody else has. Unimplemented when this library was built without
  /// MPI; FailedPrecondition when MPI has been finalised, or was initialised without
  /// MPI_THREAD_SERIALIZED (a step's collectives come from whichever worker is free).
  static StatusOr<std::unique_ptr<MPISession>> start();
  /// Finalises MPI if start() initialised it. Every collective must be gone by then.
  ~MPISession();
  MPISession(const MPISession &) = delete;
  MPISession &operator=(const MPISession &) = delete;

  /// A communicator of its own over all processes; every process must call it. Its errors are
  /// statuses (MPI_ERRORS_RETURN); a process that dies takes the others with it, as MPI has it.
  /// Each operation first compares what the ranks ask for, which costs one small all-gather. A
  /// receiver alone learns that a message has another size. Sums travel as gathered pieces that
  /// are added in rank order; arrays of any size go in pieces of at most 1 GiB.
  StatusOr<std::unique_ptr<Collective>> world();

private:
  enum class Owner { Us, Others };
  explicit MPISession(Owner owner) : owner_(owner) {}

  [[maybe_unused]] Owner owner_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_MPICOLLECTIVE_H
