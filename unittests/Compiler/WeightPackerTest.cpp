// Every element of packed weights, found by a naive reading of docs/PackedWeights.md, is the
// checkpoint's element as dequantizeRow gives it.

#include "llmir/Compiler/WeightPacker.h"
#include "../ModelFiles/GGUFBuilder.h"
#include "llmir/Base/Float16.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <gmock/gmock.h>
#include <random>

using namespace mlir;
using namespace mlir::llm;
using ::llmir::GGUFBuilder;
using ::llmir::GGUFFile;
using ::llmir::GGUFType;

namespace {

/// A weight format as the checkpoint, the IR and the documentation see it.
struct Format {
  const char *name;
  GGUFType type;
  int64_t blockBytes; ///< Of the checkpoint, for 32 elements; 0: a plain type.
  int64_t numHalves;  ///< f16 numbers at the start of a block.
};

constexpr Format kFormats[] = {{"f32", GGUFType::F32, 0, 0},    {"f16", GGUFType::F16, 0, 0},
                               {"bf16", GGUFType::BF16, 0, 0},  {"q8_0", GGUFType::Q8_0, 34, 1},
                               {"q4_0", GGUFType::Q4_0, 18, 1}, {"q4_1", GGUFType::Q4_1, 20, 2}};

std::string weightType(const Format &format, int64_t rows, int64_t cols) {
  std::string shape = std::to_string(rows) + ", " + std::to_string(cols);
  switch (format.type) {
  case GGUFType::Q8_0:
    return "!llm.quantized_tensor<i8, [" + shape + "], true, true, 1, 32, 8, scale = f16>";
  case GGUFType::Q4_0:
    return "!llm.quantized_tensor<i4, [" + shape + "], true, true, 1, 32, 4, scale = f16>";
  case GGUFType::Q4_1:
    return "!llm.quantized_tensor<i4, [" + shape +
           "], false, true, 1, 32, 4, scale = f16, zero_point = f16>";
  default:
    return "tensor<" + std::to_string(rows) + "x" + std::to_string(cols) + "x" + format.name + ">";
  }
}

/// Random bytes of a tensor, with finite numbers.
std::vector<uint8_t> randomTensor(const Format &format, int64_t elements, std::mt19937 &random) {
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<uint8_t> bytes;
  auto put = [&](auto value) {
    const auto *raw = reinterpret_cast<const uint8_t *>(&value);
    bytes.insert(bytes.end(), raw, raw + sizeof(value));
  };
  if (format.blockBytes == 0) {
    for (int64_t index = 0; index < elements; ++index) {
      float value = uniform(random);
      if (format.type == GGUFType::F32)
        put(value);
      else
        put(format.type == GGUFType::F16 ? ::llmir::floatToHalf(value)
                                         : ::llmir::floatToBFloat16(value));
    }
    return bytes;
  }
  for (int64_t block = 0; block < elements / 32; ++block) {
    for (int64_t half = 0; half < format.numHalves; ++half)
      put(::llmir::floatToHalf(uniform(random)));
    for (int64_t byte = 2 * format.numHalves; byte < format.blockBytes; ++byte)
      put(static_cast<uint8_t>(random()));
  }
  return bytes;
}

template <typename T> T read(const uint8_t *bytes, int64_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(T));
  return value;
}

int64_t naivePanelBytes(const Format &format, int64_t cols, int64_t groupSize = 32) {
  int64_t groups = cols / groupSize;
  int64_t bytes = 0;
  switch (format.type) {
  case GGUFType::F32:
    bytes = cols * 64;
    break;
  case GGUFType::F16:
    bytes = cols * 32;
    break;
  case GGUFType::BF16:
    bytes = (cols + 1) / 2 * 64;
    break;
  case GGUFType::Q8_0:
    bytes = (groups + 1) / 2 * 64 + groups * groupSize * 16;
    break;
  case GGUFType::Q4_0:
    bytes = (groups + 1) / 2 * 64 + groups * groupSize * 8;
    break;
  default:
    bytes = groups * (64 + groupSize * 8);
  }
  return (bytes + 63) / 64 * 64;
}

/// The element (row in the panel, k) as docs/PackedWeights.md draws the panel.
float naiveElement(const Format &format, const uint8_t *panel, int64_t row, int64_t k,
                   int64_t groupSize = 32) {
  int64_t group = k / groupSize, j = k % groupSize;
  switch (format.type) {
  case GGUFType::F32:
    return read<float>(panel, (k * 16 + row) * 4);
  case GGUFType::F16:
    return ::llmir::halfToFloat(read<uint16_t>(panel, (k * 16 + row) * 2));
  case GGUFType::BF16:
    return ::llmir::bfloat16ToFloat(read<uint16_t>(panel, k / 2 * 64 + row * 4 + k % 2 * 2));
  case GGUFType::Q8_0: {
    int64_t codes = groupSize * 16;
    const uint8_t *pair = panel + group / 2 * (64 + 2 * codes);
    float scale = ::llmir::halfToFloat(read<uint16_t>(pair, group % 2 * 32 + row * 2));
    return scale * static_cast<float>(
                       read<int8_t>(pair, 64 + group % 2 * codes + j / 4 * 64 + row * 4 + j % 4));
  }
  default: {
    bool isPair = format.type == GGUFType::Q4_0;
    int64_t codes = groupSize * 8;
    const uint8_t *block =
        isPair ? panel + group / 2 * (64 + 2 * codes) : panel + group * (64 + codes);
    int64_t place = isPair ? group % 2 : 0;
    float scale = ::llmir::halfToFloat(read<uint16_t>(block, place * 32 + row * 2));
    int64_t run = 64 + place * codes + j / 32 * 256;
    uint8_t byte = read<uint8_t>(block, run + j % 32 / 8 * 64 + row * 4 + j % 4);
    auto code = static_cast<float>(j % 8 < 4 ? byte & 15 : byte >> 4);
    if (isPair)
      return scale * (code - 8);
    return scale * code + ::llmir::halfToFloat(read<uint16_t>(block, 32 + row * 2));
  }
  }
}

class WeightPackerTest : public testing::Test {
protected:
  WeightPackerTest() {
    context.loadDialect<LLMDialect>();
    // Expected failures stay out of the test's output.
    context.getDiagEngine().registerHandler([](Diagnostic &) { return success(); });
  }

  /// Adds a random tensor to the checkpoint.
  void addTensor(const std::string &name, const Format &format, std::vector<uint64_t> shape) {
    int64_t elements = 1;
    for (uint64_t size : shape)
      elements *= size;
    std::reverse(shape.begin(), shape.end());
    builder.tensor(name, static_cast<uint32_t>(format.type), shape,
                   randomTensor(format, elements, random));
  }

  /// Creates a packer of `source`, a module's text; its status if that fails.
  ::llmir::Status prepare(const std::string &source) {
    bytes = builder.build();
    auto parsed = GGUFFile::parse(bytes, "test.gguf");
    EXPECT_TRUE(parsed.isOk()) << parsed.status().message();
    file.emplace(*std::move(parsed));
    module = parseSourceString<ModuleOp>(source, &context);
    EXPECT_TRUE(module) << source;
    auto created = WeightPacker::create(*module, *file);
    if (!created)
      return created.status();
    packer.emplace(*std::move(created));
    return ::llmir::Status::ok();
  }

  std::vector<uint8_t> pack(unsigned numThreads, QuantizationReport *report = nullptr) {
    std::vector<uint8_t> packed;
    int64_t done = 0;
    WeightPackingOptions options;
    options.numThreads = numThreads;
    options.report = report;
    options.progress = [&](int64_t bytesDone, int64_t total) {
      EXPECT_GT(bytesDone, done);
      EXPECT_EQ(total, packer->totalBytes());
      done = bytesDone;
    };
    ::llmir::Status status = packer->pack(
        [&](std::span<const uint8_t> piece) {
          packed.insert(packed.end(), piece.begin(), piece.end());
          return ::llmir::Status::ok();
        },
        options);
    EXPECT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(static_cast<int64_t>(packed.size()), packer->totalBytes());
    EXPECT_EQ(done, packer->totalBytes());
    return packed;
  }

  /// Compares the panels of tensor `name`, of which panel p is at panelAddress(p), with its rows.
  template <typename Address>
  void expectRows(const std::string &name, const Format &format, Address panelAddress) {
    const ::llmir::GGUFTensor *tensor = file->findTensor(name);
    ASSERT_NE(tensor, nullptr);
    int64_t rows = tensor->numRows(), cols = tensor->numColumns();
    std::vector<float> expected(cols);
    for (int64_t row = 0; row < (rows + 15) / 16 * 16; ++row) {
      if (row < rows)
        ASSERT_TRUE(::llmir::dequantizeRow(*tensor, row, expected).isOk());
      else
        expected.assign(cols, 0.0f);
      for (int64_t k = 0; k < cols; ++k)
        ASSERT_EQ(naiveElement(format, panelAddress(row / 16), row % 16, k), expected[k])
            << format.name << " " << name << " row " << row << " k " << k;
    }
  }

  /// The squared differences of the elements of the panels from `panels` and tensor `name`.
  double sumSquaredErrors(const std::string &name, const Format &format, int64_t groupSize,
                          const uint8_t *panels) {
    const ::llmir::GGUFTensor *tensor = file->findTensor(name);
    std::vector<float> row(tensor->numColumns());
    double sum = 0.0;
    for (int64_t i = 0; i < tensor->numRows(); ++i) {
      EXPECT_TRUE(::llmir::dequantizeRow(*tensor, i, row).isOk());
      const uint8_t *panel =
          panels + i / 16 * naivePanelBytes(format, tensor->numColumns(), groupSize);
      for (int64_t k = 0; k < tensor->numColumns(); ++k)
        sum += std::pow(row[k] - naiveElement(format, panel, i % 16, k, groupSize), 2);
    }
    return sum;
  }

  MLIRContext context;
  std::mt19937 random{20240601};
  GGUFBuilder builder;
  std::vector<uint8_t> bytes;
  std::optional<GGUFFile> file;
  OwningOpRef<ModuleOp> module;
  std::optional<WeightPacker> packer;
};

} // namespace

TEST_F(WeightPackerTest, PacksEveryFormatAtOddSizes) {
  std::string source;
  struct Case {
    std::string name;
    const Format *format;
    int64_t cols, offset;
  };
  std::vector<Case> cases;
  int64_t offset = 128; // Weights need not start at 0: what lies before is zero.
  for (const Format &format : kFormats)
    for (int64_t rows : {1, 16, 37})
      for (int64_t cols :
           format.blockBytes ? std::vector<int64_t>{32, 64, 96} : std::vector<int64_t>{1, 7, 33}) {
        std::string name =
            std::string(format.name) + "." + std::to_string(rows) + "." + std::to_string(cols);
        addTensor(name, format, {uint64_t(rows), uint64_t(cols)});
        source += "llm.weight @\"" + name + "\" offset(" + std::to_string(offset) +
                  ") : " + weightType(format, rows, cols) + "\n";
        cases.push_back({name, &format, cols, offset});
        offset += (rows + 15) / 16 * naivePanelBytes(format, cols);
      }
  ::llmir::Status status = prepare(source);
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_EQ(packer->totalBytes(), offset);
  std::vector<uint8_t> packed = pack(3);
  EXPECT_THAT(std::vector<uint8_t>(packed.begin(), packed.begin() + 128), testing::Each(0));
  for (const Case &test : cases) {
    int64_t panelBytes = naivePanelBytes(*test.format, test.cols);
    expectRows(test.name, *test.format,
               [&](int64_t panel) { return packed.data() + test.offset + panel * panelBytes; });
  }
}

TEST_F(WeightPackerTest, PacksFusedSourcesInBothArrangements) {
  for (const Format &format : kFormats) {
    SCOPED_TRACE(format.name);
    builder = GGUFBuilder();
    int64_t cols = format.blockBytes ? 96 : 33;
    addTensor("a", format, {37, uint64_t(cols)});
    addTensor("b", format, {16, uint64_t(cols)});
    addTensor("c", format, {37, uint64_t(cols)});
    int64_t panelBytes = naivePanelBytes(format, cols);
    int64_t second = 7 * panelBytes;
    ::llmir::Status status = prepare(
        "llm.weight @cat sources([\"a\", \"b\", \"c\"]) source_rows([37, 16, 37]) offset(0) : " +
        weightType(format, 90, cols) +
        "\nllm.weight @mix sources([\"a\", \"c\"]) arrangement(interleave) offset(" +
        std::to_string(second) + ") : " + weightType(format, 74, cols));
    ASSERT_TRUE(status.isOk()) << status.message();
    std::vector<uint8_t> packed = pack(2);
    ASSERT_EQ(static_cast<int64_t>(packed.size()), 13 * panelBytes);
    const uint8_t *cat = packed.data(), *mix = packed.data() + second;
    expectRows("a", format, [&](int64_t panel) { return cat + panel * panelBytes; });
    expectRows("b", format, [&](int64_t panel) { return cat + (3 + panel) * panelBytes; });
    expectRows("c", format, [&](int64_t panel) { return cat + (4 + panel) * panelBytes; });
    expectRows("a", format, [&](int64_t panel) { return mix + 2 * panel * panelBytes; });
    expectRows("c", format, [&](int64_t panel) { return mix + (2 * panel + 1) * panelBytes; });
  }
}

TEST_F(WeightPackerTest, PacksVectorsAsPaddedF32) {
  addTensor("v32", kFormats[0], {17});
  addTensor("v16", kFormats[1], {5});
  addTensor("vb16", kFormats[2], {16});
  ::llmir::Status status = prepare("llm.weight @v32 offset(0) : tensor<17xf32>\n"
                                   "llm.weight @v16 offset(128) : tensor<5xf32>\n"
                                   "llm.weight @vb16 offset(192) : tensor<16xf32>");
  ASSERT_TRUE(status.isOk()) << status.message();
  std::vector<uint8_t> packed = pack(1);
  ASSERT_EQ(packed.size(), 256u);
  auto expectVector = [&](const std::string &name, int64_t offset, int64_t padded) {
    const ::llmir::GGUFTensor *tensor = file->findTensor(name);
    std::vector<float> expected(tensor->numColumns());
    ASSERT_TRUE(::llmir::dequantizeRow(*tensor, 0, expected).isOk());
    expected.resize(padded);
    for (int64_t index = 0; index < padded; ++index)
      EXPECT_EQ(read<float>(packed.data(), offset + index * 4), expected[index]) << name;
  };
  expectVector("v32", 0, 32);
  expectVector("v16", 128, 16);
  expectVector("vb16", 192, 16);
}

TEST_F(WeightPackerTest, RoundsFloatsInGroups) {
  QuantizationReport report;
  for (const Format &format : ArrayRef(kFormats).drop_front(3))
    for (const Format &source : ArrayRef(kFormats).take_front(3))
      for (int64_t groupSize : {32, 64, 128}) {
        SCOPED_TRACE(std::string(source.name) + " to " + format.name);
        builder = GGUFBuilder();
        addTensor("a", source, {37, 256});
        addTensor("b", source, {5, 256});
        std::string type = weightType(format, 42, 256);
        type.replace(type.find(", 32,"), 5, ", " + std::to_string(groupSize) + ",");
        ASSERT_TRUE(
            prepare("llm.weight @w sources([\"a\", \"b\"]) source_rows([37, 5]) offset(0) : " +
                    type)
                .isOk());
        std::vector<uint8_t> packed = pack(2, &report);
        ASSERT_EQ(report.weights.size(), 1u);
        const QuantizedWeight &weight = report.weights[0];
        EXPECT_EQ(weight.name, "w");
        EXPECT_EQ(weight.groupSize, groupSize);
        EXPECT_EQ(weight.bytesAfter, static_cast<int64_t>(packed.size()));
        EXPECT_EQ(weight.error.count, 42 * 256);
        const uint8_t *panels = packed.data();
        int64_t panelBytes = naivePanelBytes(format, 256, groupSize);
        EXPECT_EQ(packed.size(), static_cast<size_t>(4 * panelBytes));
        double squaredError = sumSquaredErrors("a", format, groupSize, panels) +
                              sumSquaredErrors("b", format, groupSize, panels + 3 * panelBytes);
        EXPECT_NEAR(weight.error.squaredError, squaredError, 1e-3 * squaredError);
        // Uniform weights in -2..2 and groups of up to 128: half a step, and somewhat
        // more at the ends, which the search may clip.
        EXPECT_LT(weight.error.largest, format.type == GGUFType::Q8_0 ? 0.009 : 0.4);
      }
}

TEST_F(WeightPackerTest, RefusesWhatCannotBeRounded) {
  addTensor("w", kFormats[3], {32, 64});
  EXPECT_EQ(prepare("llm.weight @w offset(0) : !llm.quantized_tensor<i8, [32, 64], true, true, 1, "
                    "64, 8, scale = f16>")
                .message(),
            "test.gguf: tensor 'w': expected groups of 64, but q8_0 has groups of 32");
  std::vector<uint8_t> tensor(4 * 32 * 32);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(tensor.data() + 4 * (17 * 32 + 5), &infinity, 4);
  builder.tensor("x", static_cast<uint32_t>(GGUFType::F32), {32, 32}, tensor);
  ASSERT_TRUE(prepare("llm.weight @x offset(0) : " + weightType(kFormats[4], 32, 32)).isOk());
  ::llmir::Status status =
      packer->pack([](std::span<const uint8_t>) { return ::llmir::Status::ok(); }, {});
  EXPECT_THAT(status.message(),
              testing::StartsWith("tensor 'x', rows 16 to 31, columns 0 to 31: expected finite"));
}

TEST_F(WeightPackerTest, LargeWeightsComeInPiecesOfBoundedSize) {
  addTensor("big", kFormats[3], {16 * 300, 512});
  ASSERT_TRUE(prepare("llm.weight @big offset(0) : " + weightType(kFormats[3], 4800, 512)).isOk());
  size_t largest = 0, pieces = 0;
  ::llmir::Status status = packer->pack(
      [&](std::span<const uint8_t> piece) {
        largest = std::max(largest, piece.size());
        ++pieces;
        return ::llmir::Status::ok();
      },
      {});
  EXPECT_TRUE(status.isOk());
  EXPECT_LE(largest, size_t(1) << 20);
  EXPECT_GT(pieces, 2u);
  int calls = 0;
  status = packer->pack(
      [&](std::span<const uint8_t>) {
        return ++calls == 2 ? ::llmir::resourceExhausted("disk full") : ::llmir::Status::ok();
      },
      {});
  EXPECT_EQ(status.message(), "disk full");
  EXPECT_EQ(calls, 2) << "the sink is not called after its error";
}

TEST_F(WeightPackerTest, NamesTheTensorAtFault) {
  addTensor("w", kFormats[5], {32, 64});
  EXPECT_EQ(prepare("llm.weight @x offset(0) : " + weightType(kFormats[5], 32, 64)).message(),
            "test.gguf: tensor 'x' is missing");
  EXPECT_EQ(prepare("llm.weight @w offset(0) : " + weightType(kFormats[5], 48, 64)).message(),
            "test.gguf: tensor 'w': expected shape [48, 64], but got [32, 64]");
  EXPECT_EQ(prepare("llm.weight @w offset(0) : " + weightType(kFormats[3], 32, 64)).message(),
            "test.gguf: tensor 'w': expected type q8_0, but got q4_1");
  EXPECT_EQ(prepare("llm.weight @w : " + weightType(kFormats[5], 32, 64)).message(),
            "weight 'w' has no offset: expected a module after the phase 'kernel'");
  addTensor("v", kFormats[0], {32});
  EXPECT_EQ(prepare("llm.weight @w offset(0) : " + weightType(kFormats[5], 32, 64) +
                    "\nllm.weight @v offset(64) : tensor<32xf32>")
                .message(),
            "weight 'v' is at offset 64: expected a multiple of 64 that is at least 1280");
}
