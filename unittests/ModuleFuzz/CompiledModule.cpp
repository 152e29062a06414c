// Loading of generated code, and the passing of values to it.

#include "CompiledModule.h"

#include "llmir/Base/Float16.h"
#include "llmir/Device/HostMemory.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cstdlib>
#include <cstring>

using namespace mlir;
using namespace mlir::llm;

namespace llmir::testing {

constexpr const char *kInterface = "_mlir_ciface_", *kCaller = "fuzz_call_";

/// A function of one pointer, to addresses of the arguments and then of the result, that calls the
/// C interface `function`.
static void addCaller(LLVM::LLVMFuncOp function, StringRef name) {
  OpBuilder builder(function->getContext());
  builder.setInsertionPointAfter(function);
  Location loc = function.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), {pointer});
  auto caller = LLVM::LLVMFuncOp::create(builder, loc, (kCaller + name).str(), type);
  builder.setInsertionPointToStart(caller.addEntryBlock(builder));
  auto loadAddress = [&](unsigned i) -> Value {
    Value place = LLVM::GEPOp::create(builder, loc, pointer, pointer, caller.getArgument(0),
                                      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    return LLVM::LoadOp::create(builder, loc, pointer, place);
  };
  SmallVector<Value> arguments;
  ArrayRef<Type> parameters = function.getFunctionType().getParams();
  for (auto [i, parameter] : llvm::enumerate(parameters))
    arguments.push_back(
        LLVM::LoadOp::create(builder, loc, parameter, loadAddress(static_cast<unsigned>(i))));
  auto call = LLVM::CallOp::create(builder, loc, function, arguments);
  if (call->getNumResults() == 1)
    LLVM::StoreOp::create(builder, loc, call.getResult(),
                          loadAddress(static_cast<unsigned>(parameters.size())));
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

CompiledModule::~CompiledModule() = default;

static std::string take(llvm::Error error) { return llvm::toString(std::move(error)); }

std::unique_ptr<CompiledModule> CompiledModule::create(ModuleOp lowered, std::string &why) {
  std::unique_ptr<CompiledModule> result(new CompiledModule());
  SmallVector<LLVM::LLVMFuncOp> interfaces;
  for (auto function : lowered.getOps<LLVM::LLVMFuncOp>())
    if (function.getSymName().starts_with(kInterface) && !function.isExternal())
      interfaces.push_back(function);
  for (LLVM::LLVMFuncOp function : interfaces) {
    StringRef name = function.getSymName().drop_front(StringRef(kInterface).size());
    addCaller(function, name);
    result->callable[name.str()] = function.getNumArguments();
  }
  CodeGenerationOptions options;
  options.target = TargetDescription::forHost();
  FailureOr<std::vector<CodeBuffer>> code = generateCode(lowered, options);
  if (mlir::failed(code))
    return nullptr;
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) {
    why = take(jit.takeError());
    return nullptr;
  }
  result->jit = std::move(*jit);
  auto &library = result->jit->getMainJITDylib();
  llvm::orc::SymbolMap symbols;
  auto define = [&](const char *name, auto *function) {
    symbols[result->jit->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                                   llvm::JITSymbolFlags::Exported};
  };
  define("llmir_rt_cache_append", &llmir_rt_cache_append);
  define("llmir_rt_cache_block_table", &llmir_rt_cache_block_table);
  define("llmir_rt_cache_base", &llmir_rt_cache_base);
  define("llmir_rt_cache_key_scales", &llmir_rt_cache_key_scales);
  define("llmir_rt_cache_value_scales", &llmir_rt_cache_value_scales);
  llvm::Error error = library.define(llvm::orc::absoluteSymbols(std::move(symbols)));
  if (!error) {
    auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
        result->jit->getDataLayout().getGlobalPrefix());
    if (process)
      library.addGenerator(std::move(*process));
    else
      error = process.takeError();
  }
  if (!error)
    error = result->jit->addObjectFile(
        llvm::MemoryBuffer::getMemBufferCopy(code->front().str(), "module"));
  if (error) {
    why = take(std::move(error));
    return nullptr;
  }
  return result;
}

//===--- Values -------------------------------------------------------------------------------===//

namespace {
/// The bytes of a tensor, and its memref descriptor.
struct Buffer {
  std::vector<uint8_t> bytes;
  std::vector<int64_t> descriptor; ///< allocated, aligned, offset, sizes, strides
};
} // namespace

static size_t bytesOf(Type element) {
  return element.isIndex() ? 8 : (element.getIntOrFloatBitWidth() + 7) / 8;
}

static void writeElement(uint8_t *address, Type type, Scalar value) {
  if (type.isF32()) {
    auto number = static_cast<float>(value.real);
    std::memcpy(address, &number, 4);
  } else if (type.isF16() || type.isBF16()) {
    auto number = static_cast<float>(value.real);
    uint16_t bits = type.isF16() ? floatToHalf(number) : floatToBFloat16(number);
    std::memcpy(address, &bits, 2);
  } else {
    std::memcpy(address, &value.integer, bytesOf(type));
  }
}

static Scalar readElement(const uint8_t *address, Type type) {
  if (type.isF32()) {
    float number;
    std::memcpy(&number, address, 4);
    return {number, 0};
  }
  if (type.isF16() || type.isBF16()) {
    uint16_t bits;
    std::memcpy(&bits, address, 2);
    return {type.isF16() ? halfToFloat(bits) : bfloat16ToFloat(bits), 0};
  }
  int64_t number = 0;
  std::memcpy(&number, address, bytesOf(type));
  return roundToType(type, {0, number});
}

static Buffer makeBuffer(const TensorValue &tensor) {
  Buffer buffer;
  size_t size = bytesOf(tensor.elementType());
  buffer.bytes.resize(std::max<size_t>(size * static_cast<size_t>(tensor.size()), 8));
  for (int64_t i = 0; i < tensor.size(); ++i)
    writeElement(buffer.bytes.data() + size * static_cast<size_t>(i), tensor.elementType(),
                 tensor[i]);
  auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(buffer.bytes.data()));
  buffer.descriptor = {address, address, 0};
  buffer.descriptor.insert(buffer.descriptor.end(), tensor.shape().begin(), tensor.shape().end());
  std::vector<int64_t> strides(tensor.rank(), 1);
  for (size_t i = tensor.rank(); i-- > 1;)
    strides[i - 1] = strides[i] * tensor.dim(i);
  buffer.descriptor.insert(buffer.descriptor.end(), strides.begin(), strides.end());
  return buffer;
}

/// The tensor of a memref descriptor, whose memory it frees.
static TensorValue readBuffer(const int64_t *descriptor, RankedTensorType type) {
  auto rank = static_cast<size_t>(type.getRank());
  auto *aligned = reinterpret_cast<uint8_t *>(static_cast<uintptr_t>(descriptor[1]));
  TensorValue tensor(ArrayRef(descriptor + 3, rank), type.getElementType());
  ArrayRef<int64_t> strides(descriptor + 3 + rank, rank);
  llvm::SmallVector<int64_t> index(rank, 0);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    int64_t place = descriptor[2];
    for (size_t d = 0; d < rank; ++d)
      place += index[d] * strides[d];
    tensor[i] = readElement(aligned + place * static_cast<int64_t>(bytesOf(type.getElementType())),
                            type.getElementType());
    nextIndex(index, tensor.shape());
  }
  std::free(reinterpret_cast<void *>(static_cast<uintptr_t>(descriptor[0])));
  return tensor;
}

std::vector<RuntimeValue> CompiledModule::call(func::FuncOp original,
                                               const FunctionInputs &inputs) {
  std::string name = original.getSymName().str();
  std::vector<Buffer> buffers(inputs.arguments.size());
  // Words that hold pointers or scalars, at addresses that stay.
  std::vector<int64_t> words(inputs.arguments.size() + 1, 0);
  std::vector<void *> addresses;
  std::vector<int64_t> results;
  llvm::SmallVector<size_t> offsets;
  for (Type type : original.getResultTypes()) {
    offsets.push_back(results.size());
    auto tensor = dyn_cast<RankedTensorType>(type);
    results.resize(results.size() + (tensor ? 3 + 2 * static_cast<size_t>(tensor.getRank()) : 1));
  }
  int64_t resultsAddress = static_cast<int64_t>(reinterpret_cast<uintptr_t>(results.data()));
  bool passesResults = callable.at(name) > inputs.arguments.size();
  if (passesResults)
    addresses.push_back(&resultsAddress);
  for (auto [i, value] : llvm::enumerate(inputs.arguments)) {
    Type type = original.getArgument(static_cast<unsigned>(i)).getType();
    if (const auto *tensor = std::get_if<std::shared_ptr<const TensorValue>>(&value)) {
      buffers[i] = makeBuffer(**tensor);
      words[i] = static_cast<int64_t>(reinterpret_cast<uintptr_t>(buffers[i].descriptor.data()));
    } else if (const auto *cache = std::get_if<CacheValue>(&value)) {
      words[i] = static_cast<int64_t>(reinterpret_cast<uintptr_t>(cache->state->cache().handle()));
    } else {
      writeElement(reinterpret_cast<uint8_t *>(&words[i]), type, std::get<Scalar>(value));
    }
    addresses.push_back(&words[i]);
  }
  addresses.push_back(results.data());
  auto symbol = llvm::cantFail(jit->lookup(kCaller + name));
  symbol.toPtr<void (*)(void **)>()(addresses.data());
  std::vector<RuntimeValue> values;
  for (auto [type, offset] : llvm::zip_equal(original.getResultTypes(), offsets)) {
    if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      values.push_back(makeTensor(readBuffer(results.data() + offset, tensor)));
      continue;
    }
    // A cache: one of the arguments'.
    values.emplace_back();
    for (const RuntimeValue &argument : inputs.arguments)
      if (const auto *cache = std::get_if<CacheValue>(&argument))
        if (results[offset] ==
            static_cast<int64_t>(reinterpret_cast<uintptr_t>(cache->state->cache().handle())))
          values.back() = *cache;
  }
  return values;
}

/// An entry of `llm.workspace`.
static int64_t entryOf(DictionaryAttr workspace, StringRef name) {
  return cast<IntegerAttr>(workspace.get(name)).getInt();
}

std::vector<RuntimeValue> CompiledModule::runStep(func::FuncOp original,
                                                  const FunctionInputs &inputs,
                                                  const StepResources &resources, int32_t workers) {
  std::vector<Buffer> buffers;
  for (const RuntimeValue &value : inputs.arguments) {
    const auto *tensor = std::get_if<std::shared_ptr<const TensorValue>>(&value);
    buffers.push_back(tensor ? makeBuffer(**tensor) : Buffer());
  }
  auto integers = [&](size_t i) {
    return reinterpret_cast<const int32_t *>(buffers[i].bytes.data());
  };
  auto sizeOf = [&](size_t i, size_t dim) {
    return static_cast<int32_t>(buffers[i].descriptor[3 + dim]);
  };
  llmir_step_args args = {};
  args.struct_size = sizeof(args);
  args.num_tokens = sizeOf(1, 0);
  args.num_sequences = sizeOf(4, 0);
  args.tokens = integers(1);
  args.positions = integers(2);
  args.cu_lengths = integers(3);
  args.context_lengths = integers(4);
  std::vector<llmir_cache_view> views;
  size_t next = 5;
  for (; next + 2 < inputs.arguments.size(); next += 3) {
    const auto *cache = std::get_if<CacheValue>(&inputs.arguments[next]);
    if (!cache)
      break;
    PagedKVCache &paged = cache->state->cache();
    auto pointerTo = [](std::span<const float> scales) {
      return scales.empty() ? nullptr : scales.data();
    };
    views.push_back({paged.base(), integers(next + 1), integers(next + 2), sizeOf(next + 2, 1),
                     pointerTo(paged.constantKeyScales()), pointerTo(paged.constantValueScales())});
  }
  if (next + 1 < inputs.arguments.size())
    args.tree_mask = reinterpret_cast<const uint64_t *>(buffers[next++].bytes.data());
  args.caches = views.data();
  args.num_caches = static_cast<int64_t>(views.size());
  args.rows = integers(next);
  args.num_rows = sizeOf(next, 0);
  auto type = cast<RankedTensorType>(original.getResultTypes()[0]);
  int64_t vocabulary = type.getDimSize(1);
  std::vector<float> logits(static_cast<size_t>(args.num_rows * vocabulary) + 16, -1e30f);
  args.logits = logits.data();
  int64_t bytes = entryOf(resources.workspace, "fixed") +
                  entryOf(resources.workspace, "per_token") * args.num_tokens +
                  entryOf(resources.workspace, "per_sequence") * args.num_sequences +
                  entryOf(resources.workspace, "per_row") * args.num_rows +
                  entryOf(resources.workspace, "per_worker") * workers + LLMIR_ALIGNMENT;
  HostMemory workspace = *HostMemory::allocate(static_cast<size_t>(bytes));
  HostMemory weights = *HostMemory::allocate(resources.weights.size() + LLMIR_ALIGNMENT);
  // Nothing useful may be in the workspace, and floats of these bytes are not numbers.
  std::memset(workspace.data(), 0xff, static_cast<size_t>(bytes));
  std::memcpy(weights.data(), resources.weights.data(), resources.weights.size());
  args.workspace = workspace.data();
  args.weights = weights.data();
  args.world_size = 1;
  args.barrier = &WorkerTeam::barrierEntry;
  WorkerTeamOptions options;
  options.workers = workers;
  options.pinning = Pinning::None;
  auto team = WorkerTeam::create(options);
  args.team = team->get();
  auto step = llvm::cantFail(jit->lookup(LLMIR_MODEL_STEP_SYMBOL)).toPtr<llmir_step_fn>();
  (*team)->run([&](int32_t worker) { step(&args, worker, workers); });
  TensorValue result({args.num_rows, vocabulary}, type.getElementType());
  for (int64_t i = 0; i < result.size(); ++i)
    result[i].real = logits[static_cast<size_t>(i)];
  std::vector<RuntimeValue> values = {makeTensor(std::move(result))};
  values.resize(original.getNumResults());
  return values;
}

} // namespace llmir::testing
