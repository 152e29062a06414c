// A pass that is wrong on purpose: what `--llm-validate-passes` has to find. Each kind is a mistake
// that a real pass could make, and that no verifier sees.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace mlir::llm;

namespace {
enum class Mistake {
  None,
  Scale,
  Pairs,
  Residual,
  Layer,
  Values,
  Epsilon,
  Slots,
  Constants,
  Remove
};

class TestWrongRewritePass : public PassWrapper<TestWrongRewritePass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestWrongRewritePass)

  TestWrongRewritePass() = default;
  TestWrongRewritePass(const TestWrongRewritePass &other) : PassWrapper(other) {}

  StringRef getArgument() const override { return "test-llm-wrong-rewrite"; }
  StringRef getDescription() const override {
    return "Make one mistake, to test --llm-validate-passes";
  }

  void runOnOperation() override {
    if (mistake == Mistake::Remove) {
      (*getOperation().getOps<func::FuncOp>().begin()).erase();
      return;
    }
    getOperation().walk([&](Operation *op) { rewrite(op); });
  }

private:
  void rewrite(Operation *op) {
    Builder builder(op);
    if (auto attention = dyn_cast<PagedAttentionOp>(op)) {
      double scale = attention.getScale().convertToDouble();
      if (mistake == Mistake::Scale)
        attention.setScaleAttr(builder.getF32FloatAttr(static_cast<float>(scale * 1.01)));
      if (mistake == Mistake::Layer)
        attention.setLayer(0);
    }
    if (auto rope = dyn_cast<RopeOp>(op); rope && mistake == Mistake::Pairs)
      rope.setStyle(rope.getStyle() == RopeStyle::Half ? RopeStyle::Interleaved : RopeStyle::Half);
    if (auto linear = dyn_cast<LinearOp>(op)) {
      if (mistake == Mistake::Residual)
        linear.getResidualMutable().clear();
      if (mistake == Mistake::Epsilon && linear.getNormEpsilonAttr())
        linear.setNormEpsilonAttr(builder.getF32FloatAttr(0.01f));
    }
    if (auto store = dyn_cast<StoreKVOp>(op)) {
      if (mistake == Mistake::Values)
        store.getValuesMutable().assign(store.getKeys());
      if (mistake == Mistake::Slots)
        store.setLayer(0);
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(op); constant && mistake == Mistake::Constants)
      if (auto value = dyn_cast<FloatAttr>(constant.getValue()))
        constant.setValueAttr(
            FloatAttr::get(value.getType(), value.getValueAsDouble() * 1.001 + 0.001));
  }

  Option<Mistake> mistake{
      *this, "mistake", llvm::cl::desc("What to do wrong"), llvm::cl::init(Mistake::None),
      llvm::cl::values(clEnumValN(Mistake::None, "none", "nothing"),
                       clEnumValN(Mistake::Scale, "scale", "scale scores by another number"),
                       clEnumValN(Mistake::Pairs, "pairs", "rotate other pairs of channels"),
                       clEnumValN(Mistake::Residual, "residual", "lose residuals"),
                       clEnumValN(Mistake::Layer, "layer", "attend to the first layer"),
                       clEnumValN(Mistake::Values, "values", "store keys as values"),
                       clEnumValN(Mistake::Epsilon, "epsilon", "norms of another epsilon"),
                       clEnumValN(Mistake::Slots, "slots", "store into the first layer"),
                       clEnumValN(Mistake::Constants, "constants", "change constants a little"),
                       clEnumValN(Mistake::Remove, "remove", "remove a function"))};
};
} // namespace

void registerLLMTestPasses();
void registerLLMTestPasses() { PassRegistration<TestWrongRewritePass>(); }
