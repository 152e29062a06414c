// Finds the sources of packed weights and streams the packed bytes: a few threads fill a ring of
// buffers, piece by piece, and the caller's thread empties it in order.

#include "llmir/Compiler/WeightPacker.h"
#include "PanelPacking.h"
#include "PanelQuantization.h"
#include "llmir/Support/PanelReader.h"
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

using namespace mlir;
using namespace mlir::llm;
using ::llmir::GGUFFile;
using ::llmir::GGUFTensor;
using ::llmir::GGUFType;
using ::llmir::Status;
using ::llmir::StatusOr;

/// Bytes of a piece, give or take a panel.
static constexpr int64_t kChunkBytes = int64_t(1) << 20;

static std::string describeShape(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t size : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// Whether the weight is rounded while it is packed: its type has codes, its tensor floats.
static bool isRounded(const GGUFTensor &tensor, const WeightLayout &layout) {
  return !layout.isVector() && layout.getMatrix().isQuantized() &&
         ::llmir::isFloatingPointGGUFType(tensor.type);
}

/// Finds the checkpoint tensor of one source of a weight and checks its shape and type.
static StatusOr<const GGUFTensor *> findSource(const GGUFFile &file, const WeightSource &source,
                                               const WeightLayout &layout) {
  std::string name = source.name.str();
  std::string where = file.path() + ": tensor '" + name + "'";
  const GGUFTensor *tensor = file.findTensor(name);
  if (!tensor)
    return ::llmir::notFound(where + " is missing");
  SmallVector<int64_t> expected{source.rows};
  if (!layout.isVector())
    expected.push_back(layout.getMatrix().cols);
  expected[layout.getPart().dim] *= layout.getPart().shards;
  if (!llvm::equal(expected, tensor->shape))
    return ::llmir::invalidArgument(where + ": expected shape " + describeShape(expected) +
                                    ", but got " + describeShape(tensor->shape));
  bool isFloating = ::llmir::isFloatingPointGGUFType(tensor->type);
  bool fits = layout.isVector() ? isFloating
                                : tensor->type == getCheckpointType(*layout.getFormat()) ||
                                      isRounded(*tensor, layout);
  if (!fits)
    return ::llmir::invalidArgument(
        where + ": expected type " +
        (layout.isVector()
             ? "f32, f16 or bf16"
             : std::string(::llmir::describe(getCheckpointType(*layout.getFormat())).name)) +
        ", but got " + std::string(::llmir::describe(tensor->type).name));
  if (!isFloating && layout.getGroupSize() != ::llmir::kGroupSize)
    return ::llmir::invalidArgument(where + ": expected groups of " +
                                    std::to_string(layout.getGroupSize()) + ", but " +
                                    std::string(::llmir::describe(tensor->type).name) +
                                    " has groups of " + std::to_string(::llmir::kGroupSize));
  return tensor;
}

Status WeightPacker::addWeight(WeightOp op, const GGUFFile &file) {
  std::string name = op.getSymName().str();
  if (!op.getOffset())
    return ::llmir::failedPrecondition("weight '" + name +
                                       "' has no offset: expected a module after the phase "
                                       "'kernel'");
  FailureOr<WeightLayout> layout = WeightLayout::get(op);
  if (failed(layout))
    return ::llmir::invalidArgument("weight '" + name + "' has no packed layout");
  Weight weight{name, static_cast<int64_t>(*op.getOffset()), *layout, {}, {}};
  for (const WeightSource &source : layout->getSources()) {
    StatusOr<const GGUFTensor *> tensor = findSource(file, source, *layout);
    if (!tensor)
      return tensor.status();
    weight.tensors.push_back(*tensor);
  }
  if (!layout->isVector()) {
    weight.panels.resize(layout->getPackedRows() / ::llmir::kPanelRows);
    for (auto [source, tensor] : llvm::enumerate(weight.tensors))
      for (int64_t panel = 0; panel < layout->getSources()[source].panels(); ++panel)
        weight.panels[layout->getPanelIndex(source, panel)] = {tensor, panel};
  }
  weights.push_back(std::move(weight));
  return Status::ok();
}

Status WeightPacker::sortAndCheckOffsets() {
  llvm::sort(weights, [](const Weight &a, const Weight &b) { return a.offset < b.offset; });
  for (const Weight &weight : weights) {
    if (weight.offset < numBytes || weight.offset % kWeightAlignment != 0)
      return ::llmir::internalError("weight '" + weight.name + "' is at offset " +
                                    std::to_string(weight.offset) + ": expected a multiple of " +
                                    std::to_string(kWeightAlignment) + " that is at least " +
                                    std::to_string(numBytes));
    numBytes = weight.offset + weight.layout.getTotalBytes();
  }
  return Status::ok();
}

StatusOr<WeightPacker> WeightPacker::create(ModuleOp module, const GGUFFile &file) {
  WeightPacker packer;
  for (WeightOp op : module.getOps<WeightOp>())
    LLMIR_RETURN_IF_ERROR(packer.addWeight(op, file));
  LLMIR_RETURN_IF_ERROR(packer.sortAndCheckOffsets());
  return packer;
}

std::vector<WeightPacker::Chunk> WeightPacker::splitIntoChunks() const {
  std::vector<Chunk> chunks;
  int64_t end = 0;
  for (const Weight &weight : weights) {
    for (; end < weight.offset; end += chunks.back().numBytes)
      chunks.push_back({nullptr, 0, 0, std::min(kChunkBytes, weight.offset - end)});
    end += weight.layout.getTotalBytes();
    if (weight.layout.isVector()) {
      chunks.push_back({&weight, 0, 0, weight.layout.getTotalBytes()});
      continue;
    }
    int64_t panelBytes = weight.layout.getMatrix().panelBytes();
    int64_t panelsPerChunk = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, panelBytes));
    int64_t numPanels = weight.panels.size();
    for (int64_t first = 0; first < numPanels; first += panelsPerChunk) {
      int64_t count = std::min(panelsPerChunk, numPanels - first);
      chunks.push_back({&weight, first, count, count * panelBytes});
    }
  }
  return chunks;
}

Status WeightPacker::packChunk(const Chunk &chunk, uint8_t *destination,
                               ::llmir::QuantizationError &error) {
  if (!chunk.weight || chunk.weight->layout.isVector())
    std::memset(destination, 0, chunk.numBytes);
  if (!chunk.weight)
    return Status::ok();
  const WeightLayout &layout = chunk.weight->layout;
  if (layout.isVector()) {
    for (auto [source, tensor] : llvm::enumerate(chunk.weight->tensors))
      LLMIR_RETURN_IF_ERROR(
          packVector(cutVector(*tensor, layout.getPart()),
                     destination + layout.getFirstPackedRow(source) * int64_t(sizeof(float))));
    return Status::ok();
  }
  const SourcePart &part = layout.getPart();
  std::vector<uint8_t> rows;
  for (int64_t index = 0; index < chunk.numPanels; ++index) {
    const Panel &panel = chunk.weight->panels[chunk.firstPanel + index];
    uint8_t *bytes = destination + index * layout.getMatrix().panelBytes();
    GGUFTensor cut;
    if (part.shards > 1)
      cut = cutPanel(*panel.tensor, part, panel.index, rows);
    const GGUFTensor &source = part.shards > 1 ? cut : *panel.tensor;
    int64_t sourcePanel = part.shards > 1 ? 0 : panel.index;
    if (isRounded(source, layout))
      LLMIR_RETURN_IF_ERROR(quantizePanel(source, layout.getMatrix(), sourcePanel, bytes, error));
    else
      packPanel(source, layout.getMatrix(), sourcePanel, bytes);
  }
  return Status::ok();
}

/// The ring of buffers between the packing threads and the caller's thread. Chunk i is packed into
/// buffer i modulo the number of buffers, once the chunk that was there has been handed on.
class WeightPacker::Pipeline {
public:
  Pipeline(const std::vector<Chunk> &chunks, unsigned numThreads)
      : chunks(chunks), slots(2 * size_t(numThreads)) {
    for (unsigned index = 0; index < numThreads; ++index)
      threads.emplace_back([this] { packChunks(); });
  }
  ~Pipeline() {
    stop();
    for (std::thread &thread : threads)
      thread.join();
  }

  struct Slot {
    std::vector<uint8_t> bytes;
    ::llmir::QuantizationError error;
    Status status;
    bool ready = false;
  };

  /// Waits for chunk `index`, which stays until release(index).
  const Slot &acquire(size_t index) {
    Slot &slot = slots[index % slots.size()];
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return slot.ready; });
    return slot;
  }

  void release(size_t index) {
    {
      std::lock_guard lock(mutex);
      slots[index % slots.size()].ready = false;
      numReleased = index + 1;
    }
    changed.notify_all();
  }

private:
  void stop() {
    {
      std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
  }

  void packChunks() {
    while (true) {
      size_t index;
      {
        std::unique_lock lock(mutex);
        index = numTaken++;
        changed.wait(lock, [&] { return stopped || index < numReleased + slots.size(); });
        if (stopped || index >= chunks.size())
          return;
      }
      Slot &slot = slots[index % slots.size()];
      slot.bytes.resize(chunks[index].numBytes);
      slot.error = {};
      slot.status = packChunk(chunks[index], slot.bytes.data(), slot.error);
      {
        std::lock_guard lock(mutex);
        slot.ready = true;
      }
      changed.notify_all();
    }
  }

  const std::vector<Chunk> &chunks;
  std::vector<Slot> slots;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable changed;
  size_t numTaken = 0;
  size_t numReleased = 0;
  bool stopped = false;
};

QuantizationReport WeightPacker::makeReport(const QuantizationErrors &errors) const {
  QuantizationReport report;
  for (const Weight &weight : weights) {
    auto error = errors.find(&weight);
    if (error == errors.end())
      continue;
    QuantizedWeight entry{weight.name, *weight.layout.getFormat(),    weight.layout.getGroupSize(),
                          0,           weight.layout.getTotalBytes(), error->second};
    for (const GGUFTensor *tensor : weight.tensors)
      entry.bytesBefore += static_cast<int64_t>(tensor->data.size());
    report.weights.push_back(std::move(entry));
  }
  return report;
}

Status WeightPacker::pack(llvm::function_ref<Status(std::span<const uint8_t>)> sink,
                          const WeightPackingOptions &options) const {
  std::vector<Chunk> chunks = splitIntoChunks();
  Pipeline pipeline(chunks, std::max(1u, options.numThreads));
  int64_t done = 0;
  QuantizationErrors errors;
  for (size_t index = 0; index < chunks.size(); ++index) {
    const Pipeline::Slot &slot = pipeline.acquire(index);
    LLMIR_RETURN_IF_ERROR(slot.status);
    LLMIR_RETURN_IF_ERROR(sink(slot.bytes));
    if (slot.error.count != 0)
      errors[chunks[index].weight].merge(slot.error);
    pipeline.release(index);
    done += chunks[index].numBytes;
    if (options.progress)
      options.progress(done, numBytes);
  }
  if (options.report)
    *options.report = makeReport(errors);
  return Status::ok();
}
