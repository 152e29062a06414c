// The record of what kernels did wrong: see Faults.h.

#include "FaultRecord.h"

#include <mutex>
#include <utility>

namespace llmir::simt {

namespace {
struct Record {
  std::mutex mutex;
  std::vector<Fault> faults;
};
Record &record() {
  static Record instance;
  return instance;
}

std::string toText(const std::array<int64_t, 3> &id) {
  return "(" + std::to_string(id[0]) + ", " + std::to_string(id[1]) + ", " + std::to_string(id[2]) +
         ")";
}
} // namespace

std::string Fault::toString() const {
  return kernel + ": " + message + " at " + where + ", in block " + toText(block) + ", thread " +
         toText(thread);
}

void recordFault(Fault fault) {
  Record &all = record();
  std::lock_guard<std::mutex> lock(all.mutex);
  for (const Fault &known : all.faults)
    if (known.kind == fault.kind && known.kernel == fault.kernel && known.where == fault.where)
      return;
  all.faults.push_back(std::move(fault));
}

std::vector<Fault> takeFaults() {
  Record &all = record();
  std::lock_guard<std::mutex> lock(all.mutex);
  return std::exchange(all.faults, {});
}

} // namespace llmir::simt
