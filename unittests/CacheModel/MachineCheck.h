// MachineCheck: drives a class under test with random operations of a model (rapidcheck's state
// machines) and compares after each. A failure is shrunk to few operations and printed with the
// seed that repeats it.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_MACHINECHECK_H
#define LLMIR_UNITTESTS_CACHEMODEL_MACHINECHECK_H

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/state.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace llmir::model {

/// A number below `bound`, which is positive, from the source of randomness of a run.
using Chooser = std::function<int(int bound)>;

/// How long to run one case of a machine: `usual` operations. The environment may give another
/// number for all cases of a machine together (the target fuzz-long does), which is divided over
/// them like the usual ones, of which there are `ofAll`.
inline int64_t machineOperations(int64_t usual, int64_t ofAll) {
  const char *text = std::getenv("LLMIR_MACHINE_OPERATIONS");
  return text ? int64_t(double(std::atoll(text)) * double(usual) / double(ofAll)) : usual;
}

/// The same for one of `cases`, which have a number of `operations` each.
template <typename Case>
int64_t machineOperations(const Case &test, const std::vector<Case> &cases) {
  int64_t ofAll = 0;
  for (const Case &other : cases)
    ofAll += other.operations;
  return machineOperations(test.operations, ofAll);
}

/// One operation, as rapidcheck wants it. Subjects have step(operation) and compare(), which give
/// an empty string or what differs from the model.
template <typename Model, typename Subject>
class MachineCommand : public rc::state::Command<Model, Subject> {
public:
  using Operation = typename Model::Operation;
  explicit MachineCommand(Operation operation) : operation_(std::move(operation)) {}

  void checkPreconditions(const Model &model) const override { RC_PRE(model.isValid(operation_)); }
  void apply(Model &model) const override { model.apply(operation_); }
  void run(const Model &, Subject &subject) const override {
    std::string problem = subject.step(operation_);
    if (problem.empty())
      problem = subject.compare();
    if (!problem.empty())
      RC_FAIL(describe(operation_) + ": " + problem);
  }
  void show(std::ostream &stream) const override { stream << describe(operation_); }

private:
  Operation operation_;
};

/// Runs at least `operations` operations, each run of at most `runLength` on a new subject. A Model
/// has choose(chooser), which gives an operation to try next, and isValid(operation), apply and
/// describe as for Exploration.
template <typename Model, typename Subject>
void checkMachine(const Model &start, std::function<std::unique_ptr<Subject>()> makeSubject,
                  int64_t operations, int runLength = 200) {
  using Command = MachineCommand<Model, Subject>;
  int64_t done = 0;
  auto generate = [](const Model &model) {
    return rc::gen::exec([model] {
      auto operation = model.choose([](int bound) {
        return int(*rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, bound)));
      });
      return std::shared_ptr<const rc::state::Command<Model, Subject>>(
          std::make_shared<Command>(std::move(operation)));
    });
  };
  auto property = [&] {
    auto commands = *rc::state::gen::commands(start, generate);
    done += int64_t(commands.size());
    std::unique_ptr<Subject> subject = makeSubject();
    rc::state::runAll(commands, start, *subject);
  };
  for (uint64_t seed = 1; done < operations; ++seed) {
    rc::detail::TestParams parameters;
    parameters.seed = seed;
    parameters.maxSuccess = 20;
    parameters.maxSize = runLength;
    auto result = rc::detail::checkTestable(property, rc::detail::TestMetadata(), parameters);
    std::ostringstream message;
    rc::detail::printResultMessage(result, message);
    ASSERT_TRUE(result.template is<rc::detail::SuccessResult>())
        << "seed " << seed << ": " << message.str();
  }
}

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_MACHINECHECK_H
