// Keeps the outcomes of all functions as of the last pass, and compares with them after the next.

#include "llmir/Validation/PassValidation.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace mlir::llm;

namespace {
/// A pass that changes numbers because that is what it is for, and how far it may: the root of the
/// mean squared change of any result over that of the result.
struct NumberChangingPass {
  StringLiteral name;
  double limit;
};
} // namespace

static constexpr NumberChangingPass kNumberChangingPasses[] = {
    {"llm-quantize-weights", 0.5},
    {"llm-quantize-activations", 0.1},
    {"llm-plan-kv-cache", 0.5},
};

static std::optional<double> findLimit(Pass *pass) {
  for (const NumberChangingPass &entry : kNumberChangingPasses)
    if (pass->getArgument() == entry.name)
      return entry.limit;
  return std::nullopt;
}

static std::string nameOf(Pass *pass) {
  return (pass->getArgument().empty() ? pass->getName() : pass->getArgument()).str();
}

/// Whether a pass has begun to lower tensors to memory.
static bool isLowered(ModuleOp module) {
  WalkResult result = module.walk([](Operation *op) {
    auto isBuffer = [](Type type) { return isa<BaseMemRefType, LLVM::LLVMPointerType>(type); };
    bool found =
        isa_and_nonnull<LLVM::LLVMDialect, bufferization::BufferizationDialect>(op->getDialect()) ||
        llvm::any_of(op->getResultTypes(), isBuffer) ||
        llvm::any_of(op->getOperandTypes(), isBuffer);
    if (auto function = dyn_cast<func::FuncOp>(op))
      found |= llvm::any_of(function.getArgumentTypes(), isBuffer);
    return found ? WalkResult::interrupt() : WalkResult::advance();
  });
  return result.wasInterrupted();
}

static std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().useLocalScope());
  return text;
}

class PassValidation::Instrumentation : public PassInstrumentation {
public:
  explicit Instrumentation(PassValidation &validation) : validation(validation) {}

  void runBeforePass(Pass *pass, Operation *op) override {
    if (enters(pass) && depth++ == 0)
      if (ModuleOp module = moduleOf(op))
        validation.before(pass, module);
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    if (enters(pass) && --depth == 0)
      if (ModuleOp module = moduleOf(op))
        validation.after(pass, module);
  }
  void runAfterPassFailed(Pass *pass, Operation *) override { depth -= enters(pass); }

private:
  /// Whether it is a pass, not the adaptor that runs some on parts of a module. A pass that runs
  /// others is one pass: between them the module may be in any state.
  static bool enters(Pass *pass) { return !pass->getArgument().empty(); }
  static ModuleOp moduleOf(Operation *op) {
    auto module = dyn_cast<ModuleOp>(op);
    return module ? module : op->getParentOfType<ModuleOp>();
  }

  PassValidation &validation;
  int depth = 0;
};

std::unique_ptr<PassInstrumentation> PassValidation::createInstrumentation() {
  return std::make_unique<Instrumentation>(*this);
}

void PassValidation::warnOnce(Operation *op, const std::string &function, const Twine &message) {
  if (warned.insert(function + ": " + message.str()).second)
    emitWarning(op->getLoc()) << "passes over @" << function << " are not validated: " << message;
}

PassValidation::Baseline PassValidation::evaluate(ModuleOp module, Pass *pass) {
  Baseline result{module, ::print(module), {}, {}, toleranceFor(module)};
  if (pass)
    result.plans = baseline.plans;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isExternal() || function.isPrivate())
      continue;
    std::string name = function.getSymName().str();
    std::vector<Outcome> outcomes;
    InputPlan &plan = result.plans[name];
    if (!plan.fits(function) || plan.types.empty())
      plan = planInputs(function);
    for (unsigned i = 0; i < numInputs; ++i) {
      WeightValues weights(seed + i);
      std::string why;
      FailureOr<FunctionInputs> inputs = makeFunctionInputs(plan, seed + i, why);
      if (mlir::failed(inputs)) {
        warnOnce(function, name, "no inputs can be made for it: " + why);
        break;
      }
      Interpreter interpreter(module, weights);
      FailureOr<SmallVector<RuntimeValue>> results = interpreter.run(function, inputs->arguments);
      if (mlir::succeeded(results)) {
        outcomes.push_back(makeOutcome(function, *inputs, *results));
        continue;
      }
      const InterpreterError &error = interpreter.error();
      bool didRun = pass && baseline.outcomes.count(name) != 0;
      if (didRun && !error.unsupported) {
        hasFailed = true;
        emitError(error.op->getLoc())
            << "'" << nameOf(pass) << "' made @" << name << " fail: " << error.message;
      } else {
        warnOnce(error.op, name,
                 error.message + (didRun ? ", which '" + nameOf(pass) + "' introduced" : ""));
      }
      break;
    }
    if (outcomes.size() == numInputs)
      result.outcomes[name] = std::move(outcomes);
  }
  return result;
}

void PassValidation::before(Pass *pass, ModuleOp module) {
  if (baseline.module == module && (!stoppedAt.empty() || baseline.text == ::print(module)))
    return;
  // Another module, or one that somebody changed between passes.
  stoppedAt.clear();
  baseline = {};
  if (!isLowered(module))
    baseline = evaluate(module, nullptr);
  else
    stoppedAt = nameOf(pass);
  baseline.module = module;
}

void PassValidation::after(Pass *pass, ModuleOp module) {
  if (!stoppedAt.empty() || baseline.module != module)
    return;
  if (isLowered(module)) {
    stoppedAt = nameOf(pass);
    return;
  }
  ++numPasses;
  // What reads the same computes the same.
  if (baseline.text == ::print(module)) {
    numRuns += static_cast<int64_t>(baseline.outcomes.size()) * numInputs;
    return;
  }
  Baseline now = evaluate(module, pass);
  compare(pass, baseline, now);
  baseline = std::move(now);
}

void PassValidation::compare(Pass *pass, const Baseline &was, const Baseline &is) {
  ModuleOp module = is.module;
  for (const auto &[name, outcomes] : was.outcomes) {
    auto function = module.lookupSymbol<func::FuncOp>(name);
    if (!function) {
      hasFailed = true;
      emitError(module.getLoc()) << "'" << nameOf(pass) << "' removed the function @" << name;
      continue;
    }
    auto found = is.outcomes.find(name);
    if (found != is.outcomes.end() &&
        !compareFunction(pass, function, outcomes, found->second, was))
      hasFailed = true;
  }
}

bool PassValidation::compareFunction(Pass *pass, func::FuncOp function,
                                     const std::vector<Outcome> &was,
                                     const std::vector<Outcome> &is, const Baseline &before) {
  std::optional<double> limit = findLimit(pass);
  if (limit)
    *limit += before.tolerance.storage;
  for (unsigned i = 0; i < numInputs; ++i) {
    ++numRuns;
    std::optional<std::string> difference = findDifference(was[i], is[i], before.tolerance);
    if (!difference)
      continue;
    if (limit) {
      std::optional<double> change = relativeDifference(was[i], is[i]);
      if (change && *change <= *limit) {
        ++numByDesign;
        continue;
      }
      *difference += change ? "; as a root of mean squares by " + std::to_string(*change) +
                                  ", of which it may change " + std::to_string(*limit)
                            : "";
    }
    emitError(function.getLoc()) << "'" << nameOf(pass) << "' changed the result of @"
                                 << function.getSymName() << " (inputs of seed " << seed + i
                                 << "): " << *difference;
    return false;
  }
  return true;
}

void PassValidation::print(raw_ostream &os) const {
  os << "llm-validate-passes: " << numPasses << " passes checked, " << numRuns
     << " results of functions compared";
  if (numByDesign)
    os << ", " << numByDesign << " of them changed by design";
  if (!stoppedAt.empty())
    os << "; ended at '" << stoppedAt << "', which lowers to memory";
  os << '\n';
}
