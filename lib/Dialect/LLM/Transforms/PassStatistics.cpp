// Collects the counts of passes after each of their runs.

#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"

#include "mlir/Pass/Pass.h"

namespace mlir::llm {
namespace {

class StatisticsInstrumentation : public PassInstrumentation {
public:
  explicit StatisticsInstrumentation(PassStatistics &statistics) : statistics(statistics) {}

  void runAfterPass(Pass *pass, Operation *) override {
    auto *counting = dynamic_cast<CountingPass *>(pass);
    if (!counting)
      return;
    for (const auto &[name, amount] : counting->takeCounts())
      statistics.add(pass->getArgument(), name, amount);
  }

private:
  PassStatistics &statistics;
};

} // namespace

std::unique_ptr<PassInstrumentation> PassStatistics::createInstrumentation() {
  return std::make_unique<StatisticsInstrumentation>(*this);
}

int64_t PassStatistics::get(StringRef pass, StringRef name) const {
  for (const Sum &sum : sums)
    if (sum.pass == pass && sum.name == name)
      return sum.value;
  return 0;
}

void PassStatistics::print(raw_ostream &os) const {
  for (const Sum &sum : sums)
    os << sum.pass << ": " << sum.value << ' ' << sum.name << '\n';
}

void PassStatistics::add(StringRef pass, StringRef name, int64_t amount) {
  for (Sum &sum : sums) {
    if (sum.pass == pass && sum.name == name) {
      sum.value += amount;
      return;
    }
  }
  sums.push_back({pass.str(), name.str(), amount});
}

} // namespace mlir::llm
