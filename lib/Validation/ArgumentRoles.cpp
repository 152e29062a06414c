// Reads the roles of arguments off their uses, through casts and calls.

#include "llmir/Validation/ArgumentRoles.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::llm;

using Sizes = SmallVector<SizeRole>;

std::optional<unsigned> llm::findCacheArgument(Value cache) {
  for (int i = 0; i < 10000; ++i) {
    if (auto argument = dyn_cast<BlockArgument>(cache)) {
      Operation *parent = argument.getOwner()->getParentOp();
      if (isa<func::FuncOp>(parent))
        return argument.getOwner()->isEntryBlock() ? std::optional(argument.getArgNumber())
                                                   : std::nullopt;
      auto loop = dyn_cast<scf::ForOp>(parent);
      if (!loop)
        return std::nullopt;
      cache = loop.getTiedLoopInit(argument)->get();
      continue;
    }
    Operation *op = cache.getDefiningOp();
    if (auto consumer = dyn_cast<CacheConsumerOpInterface>(op)) {
      cache = consumer.getConsumedCache().get();
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      cache = loop.getInitArgs()[cast<OpResult>(cache).getResultNumber()];
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      cache = branch.thenYield().getOperand(cast<OpResult>(cache).getResultNumber());
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

namespace {
/// One use of an argument (or of what is cast from it).
class UseReader {
public:
  UseReader(OpOperand &use, ArgumentRole &role) : value(use.get()), role(role) {}

  void read(Operation *op) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<AppendKVOp, ReserveKVOp, StoreKVOp, RopeStoreKVOp, LookupKVOp, BlockTableOp,
              SequenceLengthsOp, FreeSequencesOp, PagedAttentionOp, AttentionOp, EmbeddingOp,
              RopeOp, LogitsOp, SampleOp, VerifyOp, ForkOp, CommitOp, RollbackOp, CreateKVCacheOp,
              RecvOp, LinearOp>([&](auto typed) { read(typed); })
        .Default([](Operation *) {});
  }

private:
  bool is(Value operand) const { return operand == value; }
  void set(NumberRole numbers, Sizes sizes) {
    role.numbers = numbers;
    role.sizes = std::move(sizes);
  }
  void floats(Sizes sizes) {
    if (role.sizes.empty())
      role.sizes = std::move(sizes);
  }
  /// Sizes of which some are known; leading ones count as the role says.
  void imply(ArrayRef<int64_t> last) {
    role.impliedSizes.assign(role.sizes.size() - last.size(), ShapedType::kDynamic);
    role.impliedSizes.append(last.begin(), last.end());
  }
  static Sizes heads(Value tensor, SizeRole ragged) {
    bool padded = cast<ShapedType>(tensor.getType()).getRank() == 4;
    return padded ? Sizes{SizeRole::Sequences, SizeRole::TokensEach, SizeRole::Any, SizeRole::Any}
                  : Sizes{ragged, SizeRole::Any, SizeRole::Any};
  }
  template <typename Op> bool readLayer(Op op) {
    if (!is(op.getLayerIndex()))
      return false;
    set(NumberRole::Layer, {});
    role.limit = cast<PagedKVCacheType>(op.getCache().getType()).getNumLayers();
    return true;
  }
  template <typename Op> void readKeysAndValues(Op op, SizeRole ragged) {
    auto cache = cast<PagedKVCacheType>(op.getCache().getType());
    for (Value tensor : {op.getKeys(), op.getValues()})
      if (is(tensor)) {
        floats(heads(tensor, ragged));
        imply({cache.getNumKVHeads(),
               tensor == op.getKeys() ? cache.getHeadDim() : cache.getValueHeadDim()});
      }
  }

  void read(AppendKVOp op) {
    readLayer(op);
    readKeysAndValues(op, SizeRole::Sequences);
    if (is(op.getSeqIds()))
      set(NumberRole::SequenceIds, {SizeRole::Sequences});
  }
  void read(ReserveKVOp op) {
    if (is(op.getSeqIds()))
      set(NumberRole::SequenceIds, {SizeRole::Sequences});
    else
      set(NumberRole::Count, {});
  }
  void read(RopeStoreKVOp op) {
    readKeysAndValues(op, SizeRole::Tokens);
    if (llvm::is_contained(op.getQueries(), value))
      floats({SizeRole::Tokens, SizeRole::Any, SizeRole::Any});
    if (is(op.getPositions()))
      set(NumberRole::Positions, {SizeRole::Tokens});
    if (is(op.getSlots())) {
      set(NumberRole::Slots, {SizeRole::Tokens});
      role.cacheArgument = findCacheArgument(op.getCache());
    }
  }
  void read(StoreKVOp op) {
    readLayer(op);
    readKeysAndValues(op, SizeRole::Tokens);
    if (is(op.getSlots())) {
      set(NumberRole::Slots, {SizeRole::Tokens});
      role.cacheArgument = findCacheArgument(op.getCache());
    }
  }
  template <typename Op> void readTable(Op op) {
    if (is(op.getBlockTable())) {
      set(NumberRole::Table, {SizeRole::Sequences, SizeRole::TableColumns});
      role.cacheArgument = findCacheArgument(op.getCache());
    }
    if (is(op.getSeqLens()))
      set(NumberRole::ContextLengths, {SizeRole::Sequences});
  }
  void read(LookupKVOp op) {
    readLayer(op);
    readTable(op);
  }
  void read(BlockTableOp) { set(NumberRole::SequenceIds, {SizeRole::Sequences}); }
  void read(SequenceLengthsOp) { set(NumberRole::SequenceIds, {SizeRole::Sequences}); }
  void read(FreeSequencesOp) { set(NumberRole::SequenceIds, {SizeRole::Sequences}); }
  void read(PagedAttentionOp op) {
    readLayer(op);
    readTable(op);
    if (is(op.getQuery())) {
      floats(heads(op.getQuery(), SizeRole::Tokens));
      imply({op.getNumHeads(), op.getHeadDim()});
    }
    if (is(op.getCuLengths()))
      set(NumberRole::CuLengths, {SizeRole::SequencesAndOne});
    if (is(op.getTreeMask()))
      set(NumberRole::TreeMask, {SizeRole::Tokens});
    if (is(op.getPositions()))
      set(NumberRole::Positions, {SizeRole::Tokens});
    if (is(op.getSinkLogits())) {
      floats({SizeRole::Any});
      imply({op.getNumHeads()});
    }
  }
  void read(AttentionOp op) {
    if (is(op.getQuery()))
      floats(heads(op.getQuery(), SizeRole::Tokens));
    for (Value tensor : {op.getKeys(), op.getValues()})
      if (is(tensor)) {
        Sizes sizes = heads(tensor, op.getCuKeyLengths() ? SizeRole::Keys : SizeRole::Tokens);
        if (sizes.size() == 4)
          sizes[1] = SizeRole::KeysEach;
        floats(std::move(sizes));
      }
    if (is(op.getMask())) {
      // One row of the batch, or one head, may stand for all.
      bool isShared = cast<ShapedType>(value.getType()).getDimSize(0) == 1;
      floats({isShared ? SizeRole::Any : SizeRole::Sequences, SizeRole::Any, SizeRole::TokensEach,
              SizeRole::KeysEach});
    }
    if (is(op.getKeyLengths()))
      set(NumberRole::KeyLengths, {SizeRole::Sequences});
    if (is(op.getCuLengths()))
      set(NumberRole::CuLengths, {SizeRole::SequencesAndOne});
    if (is(op.getCuKeyLengths()))
      set(NumberRole::CuKeyLengths, {SizeRole::SequencesAndOne});
    if (is(op.getSinkLogits())) {
      floats({SizeRole::Any});
      imply({op.getNumHeads()});
    }
  }
  void read(EmbeddingOp op) {
    set(NumberRole::Tokens, {SizeRole::Tokens});
    if (WeightOp weight = lookupWeight(op, op.getWeightAttr()))
      role.limit = weight.getRows();
  }
  void read(RopeOp op) {
    if (is(op.getPositions()))
      set(NumberRole::Positions, {SizeRole::Tokens});
    else
      floats({SizeRole::Tokens, SizeRole::Any, SizeRole::Any});
  }
  void read(LogitsOp op) {
    if (is(op.getRows()))
      set(NumberRole::Rows, {SizeRole::Rows});
    else
      floats({SizeRole::Tokens, SizeRole::Any});
  }
  void read(LinearOp op) {
    WeightOp weight = lookupWeight(op, op.getWeightAttr());
    if (is(op.getInput()) && weight && cast<ShapedType>(value.getType()).getRank() == 2) {
      floats({SizeRole::Tokens, SizeRole::Any});
      imply({weight.getCols()});
    }
  }
  void read(SampleOp op) {
    if (is(op.getUniforms()))
      set(NumberRole::Uniforms, {SizeRole::Rows});
    else
      floats({SizeRole::Rows, SizeRole::Any});
  }
  void read(VerifyOp op) {
    if (is(op.getLogits()))
      floats({SizeRole::Tokens, SizeRole::Any});
    if (is(op.getDraftTokens())) {
      set(NumberRole::Tokens, {SizeRole::Tokens});
      role.limit = cast<ShapedType>(op.getLogits().getType()).getDimSize(1);
      if (ShapedType::isDynamic(role.limit))
        role.limit = 1;
    }
    if (is(op.getCuLengths()))
      set(NumberRole::CuLengths, {SizeRole::SequencesAndOne});
    if (is(op.getParents()))
      set(NumberRole::Parents, {SizeRole::Tokens});
    if (is(op.getUniforms()))
      set(NumberRole::Uniforms, {SizeRole::Tokens});
  }
  void read(ForkOp op) {
    set(is(op.getChildren()) ? NumberRole::Children : NumberRole::SequenceIds,
        {SizeRole::Sequences});
  }
  void read(CommitOp op) {
    if (is(op.getSeqIds()))
      set(NumberRole::SequenceIds, {SizeRole::Sequences});
    if (is(op.getDrafted()))
      set(NumberRole::Drafted, {SizeRole::Sequences});
    if (is(op.getAccepted()))
      set(NumberRole::Accepted, {SizeRole::Sequences});
    if (is(op.getPath()))
      set(NumberRole::Path, {SizeRole::Sequences, SizeRole::Any});
  }
  void read(RollbackOp op) {
    set(is(op.getSeqIds()) ? NumberRole::SequenceIds : NumberRole::ShorterLengths,
        {SizeRole::Sequences});
  }
  void read(CreateKVCacheOp) {
    set(NumberRole::Count, {});
    role.limit = 64;
  }
  void read(RecvOp) { set(NumberRole::Count, {}); }

  Value value;
  ArgumentRole &role;
};
} // namespace

static void readUses(Value value, ArgumentRole &role, int depth) {
  for (OpOperand &use : value.getUses()) {
    // A cache itself has no numbers.
    if (isa<PagedKVCacheType>(value.getType()))
      continue;
    UseReader(use, role).read(use.getOwner());
    if (auto cast = dyn_cast<tensor::CastOp>(use.getOwner()))
      readUses(cast, role, depth);
    auto call = dyn_cast<func::CallOp>(use.getOwner());
    if (!call || depth > 8)
      continue;
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
    if (!callee || callee.isExternal())
      continue;
    unsigned before = role.cacheArgument.value_or(0);
    bool had = role.cacheArgument.has_value();
    readUses(callee.getArgument(use.getOperandNumber()), role, depth + 1);
    // The callee's argument that is the cache, as the caller names it.
    if (!had && role.cacheArgument)
      role.cacheArgument = findCacheArgument(call.getOperand(*role.cacheArgument));
    else if (had)
      role.cacheArgument = before;
  }
}

/// A step's arguments: context, tokens, positions, cumulative and context lengths, for each cache
/// its slots and table, a tree mask if there is one, and the rows of logits.
static void readStep(func::FuncOp step, MutableArrayRef<ArgumentRole> roles) {
  if (roles.size() < 6)
    return;
  roles[1].numbers = NumberRole::Tokens;
  roles[1].sizes = {SizeRole::Tokens};
  roles[2] = {NumberRole::Positions, {SizeRole::Tokens}, {}, 0, {}};
  roles[3] = {NumberRole::CuLengths, {SizeRole::SequencesAndOne}, {}, 0, {}};
  roles[4] = {NumberRole::ContextLengths, {SizeRole::Sequences}, {}, 0, {}};
  unsigned next = 5;
  for (; next + 2 < roles.size() && isa<PagedKVCacheType>(step.getArgument(next).getType());
       next += 3) {
    roles[next + 1] = {NumberRole::Slots, {SizeRole::Tokens}, {}, 0, next};
    roles[next + 2] = {
        NumberRole::Table, {SizeRole::Sequences, SizeRole::TableColumns}, {}, 0, next};
  }
  if (next + 1 < roles.size() &&
      getElementTypeOrSelf(step.getArgument(next).getType()).isInteger(64))
    roles[next++] = {NumberRole::TreeMask, {SizeRole::Tokens}, {}, 0, {}};
  if (next + 1 == roles.size())
    roles[next] = {NumberRole::Rows, {SizeRole::Rows}, {}, 0, {}};
}

SmallVector<ArgumentRole> llm::findArgumentRoles(func::FuncOp function) {
  SmallVector<ArgumentRole> roles(function.getNumArguments());
  for (BlockArgument argument : function.getArguments())
    readUses(argument, roles[argument.getArgNumber()], 0);
  if (function->hasAttr("llm.step"))
    readStep(function, roles);
  return roles;
}
