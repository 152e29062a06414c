// Rotating queries and keys and storing keys and values, token by token: the parts are those of
// RopeKernel and StoreKVKernel, so the bytes are theirs. A token's keys are stored while they are
// in the worker's first cache.
//
// Before an attention no barrier need stand behind it in small batches: each worker then rotates
// and stores the heads that its own tasks of the attention read. Where two workers' tasks read the
// same new keys, both write the same bytes to the same place, each before it reads them, so that a
// worker sees its own bytes or equal ones; nobody else reads them before the next barrier.

#include "AttentionState.h"
#include "CacheAddress.h"
#include "StepPlan.h"
#include "TokenEmitters.h"

namespace mlir::llm {

namespace {
/// Arguments from the table on; see Kernels.h.
struct RopeStoreArguments {
  Value table;
  SmallVector<std::pair<Value, Value>> queries;
  Value keys, rotatedKeys;
  StoreKVArguments store;
  ValueRange rest; ///< Those behind them.

  RopeStoreArguments(const RopeStoreKVKernel &kernel, ValueRange a, size_t numScales)
      : table(a[0]) {
    a = a.drop_front();
    for (size_t i = 0; i < kernel.queries.size(); ++i, a = a.drop_front(2))
      queries.emplace_back(a[0], a[1]);
    keys = a[0];
    rotatedKeys = a[1];
    store = {rotatedKeys, a[2], a[3], a[4], a[5], a.drop_front(6).take_front(numScales)};
    rest = a.drop_front(6 + numScales);
  }
};
} // namespace

static SmallVector<Type> commonTypes(KernelLibrary &library, const RopeStoreKVKernel &kernel) {
  SmallVector<Type> types = {kernel.keys.table};
  for (const RopeKernel &query : kernel.queries)
    types.append({query.input, query.output});
  types.append({kernel.keys.input, kernel.keys.output, kernel.values, library.bytesType(),
                library.vectorType(IntegerType::get(library.context(), 32)), library.indexType()});
  llvm::append_range(types, scaleArguments(library, kernel.layout));
  return types;
}

/// Rotates the query heads of some KV heads of a token; if `stores` (null: yes), rotates and stores
/// their keys and stores their values, too.
static void emitToken(KernelBuilder &b, const RopeStoreKVKernel &kernel,
                      const RopeStoreArguments &arguments, Value token, const HeadRange &heads,
                      Value stores) {
  for (auto [query, rows] : llvm::zip_equal(kernel.queries, arguments.queries)) {
    Value group = b.index(query.heads / kernel.layout.num_kv_heads);
    emitRotation(b, query, {arguments.table, rows.first, rows.second}, token,
                 {b.mul(heads.first, group), b.mul(heads.last, group)});
  }
  auto store = [&] {
    emitRotation(b, kernel.keys, {arguments.table, arguments.keys, arguments.rotatedKeys}, token,
                 heads);
    emitStoreKV(b, kernel.layout, arguments.store, token, heads);
  };
  stores ? b.ifThen(stores, store) : store();
}

/// The tokens [begin, end) and KV heads [first, last): two indices each, whether to store (i1),
/// then the common arguments.
static func::FuncOp getHeadsFunction(KernelLibrary &library, const RopeStoreKVKernel &kernel,
                                     const std::string &name) {
  SmallVector<Type> types(4, library.indexType());
  types.push_back(IntegerType::get(library.context(), 1));
  llvm::append_range(types, commonTypes(library, kernel));
  size_t numScales = scaleArguments(library, kernel.layout).size();
  return library.getOrCreate(name, types, [&](KernelBuilder &b, ValueRange arguments) {
    RopeStoreArguments common(kernel, arguments.drop_front(5), numScales);
    b.loop(arguments[0], arguments[1], 1, [&](Value token) {
      emitToken(b, kernel, common, token, {arguments[2], arguments[3]}, arguments[4]);
    });
  });
}

/// (worker, workers), common arguments, number of tokens, context lengths, cumulative lengths,
/// number of sequences, [positions].
static func::FuncOp getFunctionBefore(KernelLibrary &library, const RopeStoreKVKernel &kernel,
                                      const AttentionKernel &attention, const std::string &name) {
  func::FuncOp ofHeads = getHeadsFunction(library, kernel, name + "_heads");
  Type index = library.indexType();
  Type ints = library.vectorType(IntegerType::get(library.context(), 32));
  SmallVector<Type> types(2, index);
  SmallVector<Type> common = commonTypes(library, kernel);
  llvm::append_range(types, common);
  types.append({index, ints, ints, index});
  if (attention.positions)
    types.push_back(ints);
  return library.getOrCreate(name, types, [&](KernelBuilder &b, ValueRange arguments) {
    Value worker = arguments[0], workers = arguments[1];
    ValueRange passed = arguments.drop_front(2).take_front(common.size());
    ValueRange rest = arguments.drop_front(2 + common.size());
    auto call = [&](Value begin, Value end, Value firstHead, Value lastHead, Value stores) {
      SmallVector<Value> operands = {begin, end, firstHead, lastHead, stores};
      llvm::append_range(operands, passed);
      func::CallOp::create(b, ofHeads, operands);
    };
    Value tokens = rest[0];
    AttentionTaskInputs inputs{worker,  workers, rest[1],
                               rest[2], rest[3], attention.positions ? rest[4] : Value()};
    b.ifThen(
        b.compare(arith::CmpIPredicate::ule, tokens, b.index(kSmallBatch)),
        [&] {
          emitPreparations(b, attention, inputs, [&](const AttentionPreparation &task) {
            call(task.firstToken, task.lastToken, task.head, b.add(task.head, b.index(1)),
                 task.stores);
          });
        },
        [&] {
          Value begin = b.div(b.mul(worker, tokens), workers);
          Value end = b.div(b.mul(b.add(worker, b.index(1)), tokens), workers);
          Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
          call(begin, end, b.index(0), b.index(kernel.layout.num_kv_heads), yes);
        });
  });
}

func::FuncOp getKernel(KernelLibrary &library, const RopeStoreKVKernel &kernel) {
  std::string name = "rope_store_kv_" + kernel.keys.name();
  for (const RopeKernel &query : kernel.queries)
    name += "_" + query.name();
  if (kernel.before)
    return getFunctionBefore(library, kernel, *kernel.before,
                             name + "_before_" + kernel.before->name());
  SmallVector<Type> types(2, library.indexType());
  llvm::append_range(types, commonTypes(library, kernel));
  size_t numScales = scaleArguments(library, kernel.layout).size();
  return library.getOrCreate(
      name + "_" + cacheName(kernel.layout), types, [&](KernelBuilder &b, ValueRange arguments) {
        RopeStoreArguments common(kernel, arguments.drop_front(2), numScales);
        HeadRange heads{b.index(0), b.index(kernel.layout.num_kv_heads)};
        b.loop(arguments[0], arguments[1], 1,
               [&](Value token) { emitToken(b, kernel, common, token, heads, Value()); });
      });
}

} // namespace mlir::llm
