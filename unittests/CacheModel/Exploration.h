// Exploration: every state that a small model can reach, breadth first, each once and with a
// shortest way there. States that differ only in names count as one; the model decides which do.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_EXPLORATION_H
#define LLMIR_UNITTESTS_CACHEMODEL_EXPLORATION_H

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace llmir::model {

/// The reachable states of a Model, which has
///   using Operation          what can be done to it, with a function describe(Operation)
///   operations()             those to try in this state, also ones that it refuses
///   apply(operation)         does it, or what is left of it when it is refused
///   key()                    a string; equal for states that count as one
///   check()                  empty, or which invariant does not hold
template <typename Model> class Exploration {
public:
  using Operation = typename Model::Operation;
  struct State {
    Model model;
    size_t parent = 0;
    std::optional<Operation> by; ///< None for the first state.
  };

  explicit Exploration(Model start) {
    visit(std::move(start), 0, std::nullopt);
    for (size_t i = 0; i < states_.size() && violation_.empty(); ++i)
      for (const Operation &operation : states_[i].model.operations()) {
        Model next = states_[i].model;
        ++numOperations_;
        next.apply(operation);
        visit(std::move(next), i, operation);
      }
  }

  const std::vector<State> &states() const { return states_; }
  size_t numOperations() const { return numOperations_; }
  /// Empty, or the first broken invariant and the way there.
  const std::string &violation() const { return violation_; }

  std::vector<Operation> pathTo(size_t state) const {
    std::vector<Operation> path;
    for (; states_[state].by; state = states_[state].parent)
      path.push_back(*states_[state].by);
    std::reverse(path.begin(), path.end());
    return path;
  }

private:
  void visit(Model model, size_t parent, std::optional<Operation> by) {
    if (!keys_.insert(model.key()).second)
      return;
    states_.push_back({std::move(model), parent, std::move(by)});
    std::string problem = states_.back().model.check();
    if (problem.empty() || !violation_.empty())
      return;
    violation_ = problem + " after:";
    for (const Operation &operation : pathTo(states_.size() - 1))
      violation_ += " " + describe(operation) + ";";
  }

  std::vector<State> states_;
  std::unordered_set<std::string> keys_;
  size_t numOperations_ = 0;
  std::string violation_;
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_EXPLORATION_H
